"""A real process, killed again and again, ends as one that nobody killed: bit for bit."""

import contextlib
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from tests.checkpoint.survivor import EPOCHS, STEPS

SCRIPT = pathlib.Path(__file__).with_name("survivor.py")
SECONDS = 400  # for one process, most of which is TensorFlow's start on a busy machine


@contextlib.contextmanager
def started(*arguments):
    root = str(pathlib.Path(__file__).parents[2])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH")))),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        timer = threading.Timer(SECONDS, process.kill)
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            process.kill()


def run_to_the_end(*arguments):
    with started(*arguments) as process:
        output, errors = process.communicate()
    assert process.returncode == 0, errors
    return output.count("step")


@pytest.mark.slow
def test_a_killed_process_ends_as_the_unbroken_one(tmp_path):
    run_to_the_end(tmp_path / "unbroken.npz")
    checkpoint, result = tmp_path / "run" / "checkpoint.npz", tmp_path / "broken.npz"
    draw = random.Random(5)
    trained = 0
    for _ in range(3):
        with started(result, checkpoint) as process:
            steps = draw.randint(4, EPOCHS * STEPS // 4)
            for _ in range(steps):
                assert process.stdout.readline() == "step\n", process.stderr.read()
            time.sleep(draw.uniform(0, 0.02))  # some die while the file is written
            process.send_signal(signal.SIGKILL)
            trained += steps
        assert process.returncode == -signal.SIGKILL
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
