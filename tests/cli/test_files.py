"""`kd-keras verify` and `kd-keras benchmark`, on the released files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

RELEASED = Path(__file__).parents[2] / "saved_models" / "released"


@pytest.mark.slow
def test_the_released_file_is_as_accurate_as_its_card_says_and_misses_what_it_cannot_reach(
    tmp_path, command
):
    file, report = RELEASED / "digits_student_int8.tflite", tmp_path / "report.json"
    arguments = (
        *("verify", file, "--data", "digits", "--data-dir", tmp_path / "data"),
        *("--student", RELEASED / "digits_student.keras", "--layers", "--json", report),
        *("--min-accuracy", 0.97, "--min-agreement", 0.5, "--max-difference", 0.1),
    )
    done = command(*arguments)

    assert done.code == 3
    (complaint,) = done.err.splitlines()
    assert complaint.startswith(
        f"kd-keras: error: {file}: the accuracy is 0.966667, which is 0.00333 below "
        "min_accuracy=0.97; the largest difference from the student is "
    )
    assert complaint.endswith("above max_difference=0.1")
    shown = " ".join(done.out.split())
    for words in ("300 test images of digits", "96.67%", "96.00%", "(worst)", "QUANTIZE", "exact"):
        assert words in shown
    found = json.loads(report.read_text())
    assert found["command"].startswith("kd-keras verify ")
    assert found["verification"]["accuracy"] == 290 / 300
    assert found["verification"]["student"]["accuracy"] == 288 / 300
    assert [miss["threshold"] for miss in found["missed"]] == ["min_accuracy", "max_difference"]
    layers = found["layers"]["layers"]
    assert len(layers) == 18
    # No noise at all has no finite ratio.
    assert layers[0]["sqnr"] is None
    quietest = min(
        (min(layer["own_sqnr"], layer["channel_sqnr"]), index)
        for index, layer in enumerate(layers)
        if layer["own_sqnr"] is not None
    )
    assert found["layers"]["worst"] == quietest[1]
    assert found["environment"]["cpu"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "verify",
            [
                *("--min-accuracy", "--min-agreement", "--max-difference", "--layers", "--student"),
                *("at 20 dB the noise is a tenth of the signal", "with 3 if one is missed"),
            ],
        ),
        ("benchmark", ["--threads", "--xnnpack", "--runs", "--keras", "--json", "Trust ratios"]),
    ],
)
def test_help_teaches(name, said, command):
    done = command(name, "--help")
    assert done.code == 0
    text = " ".join(done.out.replace("│", " ").split())
    for words in said:
        assert words in text
