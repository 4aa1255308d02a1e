"""The benchmark of files and Keras models, as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kd_keras.cli import main

RELEASED = Path(__file__).parents[2] / "saved_models" / "released"
INT8 = RELEASED / "digits_student_int8.tflite"
STUDENT = RELEASED / "digits_student.keras"


@pytest.mark.slow
def test_the_table_and_the_json_have_costs_times_ratios_and_the_machine(tmp_path, capsys):
    report = tmp_path / "report.json"
    code = main(
        [
            *("benchmark", str(INT8), "--keras", str(STUDENT), "--threads", "1,2"),
            *("--runs", "20", "--warmup", "2", "--json", str(report)),
        ]
    )

    assert code == 0
    found = json.loads(report.read_text())
    int8, student = found["contenders"]
    shown = capsys.readouterr().out
    assert found["environment"]["cpu"] in shown
    for words in ("arena", "MACs", "quartiles", "XNNPACK", f"{int8['macs']:,}"):
        assert words in shown
    assert (int8["timed_as"], student["timed_as"]) == ("file", "float32 .tflite conversion")
    assert int8["macs"] == student["macs"] == int8["flops"] // 2
    # BatchNorm is folded in the file; Keras counts it.
    assert int8["parameters"] == 5060
    assert student["parameters"] == 5310
    assert int8["bytes"] == INT8.stat().st_size
    assert student["bytes"] > int8["bytes"]
    # A quarter, but for the float input.
    assert student["arena_bytes"] / 4 < int8["arena_bytes"] < student["arena_bytes"] / 3
    for contender in (int8, student):
        settings = [(time["threads"], time["xnnpack"]) for time in contender["times"]]
        assert settings == [(1, True), (1, False), (2, True), (2, False)]
        assert all(0 < time["median_ms"] <= time["p90_ms"] for time in contender["times"])
    assert all(time["ratio_to_first"]["median"] == 1 for time in int8["times"])
    assert all(time["ratio_to_first"]["lower"] > 0 for time in student["times"])


def test_a_full_disk_leaves_no_half_report(tmp_path, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    arguments = ["--runs", "1", "--xnnpack", "on", "--json", str(tmp_path / "report.json")]

    assert main(["benchmark", str(INT8), *arguments]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "Name a file to time, such as kd-keras benchmark student_int8.tflite"),
        (["absent.tflite"], 1, "Cannot read the .tflite file"),
        ([str(STUDENT)], 1, "no TFLite file"),
        ([str(INT8), "--threads", "1,0"], 2, "numbers from 1, separated by commas"),
        ([str(INT8), "--threads", "two"], 2, "numbers from 1, separated by commas"),
        ([str(INT8), "--xnnpack", "maybe"], 2, "maybe"),
        ([str(INT8), "--runs", "0"], 2, "--runs must be at least 1"),
        ([str(INT8), "--keras", str(INT8)], 1, "must be a .keras file that exists"),
    ],
)
def test_a_wrong_call_says_what_to_do(arguments, code, said, capsys):
    try:
        received = main(["benchmark", *arguments])
    except SystemExit as leaving:
        received = leaving.code

    assert received == code
    assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())
