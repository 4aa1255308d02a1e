"""The example with a GAN runs as a user would run it, in small, and goes on from its own files."""

import re
from pathlib import Path

import pytest
from PIL import Image

from tests import processes

SCRIPT = Path(__file__).parents[2] / "examples" / "generated_digits.py"


@pytest.mark.slow
def test_the_example_trains_a_gan_and_students_and_keeps_its_networks(tmp_path):
    def run(*more):
        return processes.run(
            *(SCRIPT, "--output", "out", "--limit", 70, "--teacher-steps", 60),
            *("--gan-steps", 5, "--steps", 2, "--seeds", 1),
            *more,
            folder=tmp_path,
        )

    first = run()
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "generator.keras",
        "samples.png",
        "teacher.keras",
    ]
    assert Image.open(out / "samples.png").size == (600, 600)
    teacher = r"accuracy of the\s+teacher\s+(\S+);"
    assert float(re.search(teacher, first)[1]) > 0.3
    for name in ("70 real images", "70 real + generated views", "generated alone, unlabelled"):
        mean = re.search(rf"│ {re.escape(name)}\s+│ (0\.\d+) │", first)[1]
        assert re.search(rf"seed 0, {re.escape(name)}: {mean}", first)

    before = (out / "generator.keras").stat().st_mtime_ns
    again = run("--gan-steps", "6", "--seeds", "0")
    assert (out / "generator.keras").stat().st_mtime_ns == before
    assert re.search(teacher, again)[1] == re.search(teacher, first)[1]
