"""A real process, killed again and again, ends as one that nobody killed: bit for bit."""

import pathlib
import random
import time

import numpy as np
import pytest

from tests.checkpoint.survivor import EPOCHS, STEPS
from tests.processes import Process

SCRIPT = pathlib.Path(__file__).with_name("survivor.py")


def run_to_the_end(*arguments):
    return Process(SCRIPT, *arguments).printed().count("step\n")


def run_to_a_death(draw, *arguments):
    process = Process(SCRIPT, *arguments)
    steps = draw.randint(4, EPOCHS * STEPS // 4)
    process.wait_for(lambda: process.read().count("step\n") >= steps)
    time.sleep(draw.uniform(0, 0.02))  # some die while the file is written
    process.kill()
    return process.read().count("step\n")


@pytest.mark.slow
def test_a_killed_process_ends_as_the_unbroken_one(tmp_path):
    run_to_the_end(tmp_path / "unbroken.npz")
    checkpoint, result = tmp_path / "run" / "checkpoint.npz", tmp_path / "broken.npz"
    draw = random.Random(5)
    trained = 0
    for _ in range(3):
        trained += run_to_a_death(draw, result, checkpoint)
        assert not result.exists()
    trained += run_to_the_end(result, checkpoint)

    # Each death cost two steps at most, and the callback of the script saw skipped ones again.
    assert EPOCHS * STEPS <= trained <= EPOCHS * STEPS + 3 * (2 + STEPS)
    assert [entry.name for entry in checkpoint.parent.iterdir()] == ["checkpoint.npz"]
    with np.load(tmp_path / "unbroken.npz") as expected, np.load(result) as found:
        assert expected.files == found.files
        assert any("seed_generator_state" in name for name in expected.files)
        assert len(expected["log loss"]) == EPOCHS
        for name in expected.files:
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
