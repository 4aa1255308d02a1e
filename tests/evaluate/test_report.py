"""A report goes through JSON unchanged, and its files appear whole or not at all."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import pytest

from kd_keras.evaluate import Report, ResultRow, page, read_report, write_report


def test_json_brings_back_the_same_report(report):
    again = Report.from_json(report.to_json())

    assert again.rows == report.rows
    assert again.recipe == report.recipe
    assert (again.title, again.command) == (report.title, report.command)
    assert (again.environment, again.seconds) == (report.environment, report.seconds)
    assert again.histories["teacher"] == report.histories["teacher"]
    assert again.to_json() == report.to_json()


def test_nan_in_a_history_is_null_in_json_and_nan_again(report):
    text = report.to_json()

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    json.loads(text, parse_constant=refuse)
    losses = Report.from_json(text).histories["student <i>"]["loss"]
    assert losses[0] == 2.5 and math.isnan(losses[1])


def test_numpy_numbers_in_a_history_are_taken():
    numpy = pytest.importorskip("numpy")
    report = Report("t", "c", histories={"m": {"loss": list(numpy.float32([1.5, 0.5]))}})

    assert Report.from_json(report.to_json()).histories == {"m": {"loss": [1.5, 0.5]}}


def test_the_files_of_a_report_are_read_again(report, tmp_path):
    write_report(tmp_path / "report.html", tmp_path / "report.json", report)

    assert read_report(tmp_path / "report.json").rows == report.rows
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]


@pytest.mark.parametrize(
    "bad",
    [
        Report("t", "c", rows=(ResultRow("a", accuracy=math.nan),)),
        Report("t", "c", recipe={"x": object()}),
    ],
)
def test_a_report_that_has_no_json_form_leaves_no_file(bad, tmp_path):
    with pytest.raises((ValueError, TypeError)):
        write_report(tmp_path / "report.html", tmp_path / "report.json", bad)

    assert list(tmp_path.iterdir()) == []


def test_a_failure_while_drawing_leaves_the_earlier_files(report, tmp_path, monkeypatch):
    html, data = tmp_path / "report.html", tmp_path / "report.json"
    html.write_text("old page")
    data.write_text("old data")

    def fail(report):
        raise RuntimeError("no fonts")

    monkeypatch.setattr(page, "render", fail)
    with pytest.raises(RuntimeError, match="no fonts"):
        write_report(html, data, report)

    assert (html.read_text(), data.read_text()) == ("old page", "old data")


def test_a_full_disk_leaves_the_earlier_file_and_nothing_beside_it(tmp_path, monkeypatch):
    html, data = tmp_path / "report.html", tmp_path / "report.json"
    html.write_text("old page")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        write_report(html, data, Report("t", "c"))

    assert html.read_text() == "old page"
    assert list(tmp_path.iterdir()) == [html]


def test_a_missing_folder_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="folder of `path` does not exist.*missing"):
        write_report(tmp_path / "missing" / "a.html", tmp_path / "a.json", Report("t", "c"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no report of kd_keras"),
        ("[]", "no report of kd_keras"),
        ("{}", "no report of kd_keras"),
        ('{"format": 99}', "has format 99"),
        ('{"format": 1, "title": "t"}', "no report of kd_keras"),
    ],
)
def test_what_is_no_report_is_refused_by_name(text, message, tmp_path):
    path = tmp_path / "broken.json"
    path.write_text(text)

    with pytest.raises(ValueError, match=rf"{message}.*broken\.json"):
        read_report(path)


def test_a_missing_report_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"Cannot read the report.*none\.json"):
        read_report(tmp_path / "none.json")


def test_a_saved_table_is_shown_without_tensorflow_and_without_matplotlib(report, tmp_path):
    path = tmp_path / "report.json"
    path.write_text(report.to_json())
    # As the command line starts: `kd_keras` imports no TensorFlow there.
    code = (
        "import sys; sys.argv = ['kd-keras']\n"
        "from kd_keras import evaluate\n"
        "from rich.console import Console\n"
        f"evaluate.print_table(evaluate.read_report({str(path)!r}), Console())\n"
        "print([m for m in ('tensorflow', 'keras', 'matplotlib') if m in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "student alone" in done.stdout
    assert done.stdout.endswith("[]\n")
