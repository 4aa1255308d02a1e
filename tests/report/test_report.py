"""A report goes through JSON unchanged, and its files appear whole or not at all."""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys

import pytest

from kd_keras.report import Report, ResultRow, files, read_report, write_report


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

    monkeypatch.setattr(files, "render", fail)
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


def test_the_sheet_has_a_row_for_each_model_and_every_number(examined_report, tmp_path):
    paths = [tmp_path / f"report.{suffix}" for suffix in ("html", "json", "csv")]
    write_report(paths[0], paths[1], examined_report, paths[2])

    with paths[2].open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["model"] for row in rows] == [row.name for row in examined_report.rows]
    for text, row in zip(rows, examined_report.rows, strict=True):
        examination = row.examination
        assert float(text["accuracy"]) == row.accuracy
        assert float(text["nll"]) == examination.cross_entropy
        assert float(text["brier"]) == examination.brier_score
        assert float(text["accuracy_gap"]) == examination.accuracy_gap
        assert float(text["corruption_error"]) == examination.robustness.corruption_error
        assert text["pgd_accuracy"] == ("" if row.name == 'file, "int8"' else "0.25")
        assert text["latency_ms"] == ""


def test_a_report_of_format_1_is_read_and_has_no_examinations():
    text = (
        '{"format": 1, "title": "t", "command": "c", "recipe": {}, "histories": {}, '
        '"environment": {}, "seconds": {}, "rows": [{"name": "teacher", "accuracy": 0.5, '
        '"agreement": 1.0, "parameters": 3, "bytes": 4, "latency_ms": null}]}'
    )

    report = Report.from_json(text)

    assert report.rows == (ResultRow("teacher", 0.5, 1.0, 3, 4),)
    assert (report.rows[0].examination, report.classes, report.baseline) == (None, (), "")


def test_examinations_go_through_json_unchanged(examined_report):
    again = Report.from_json(examined_report.to_json())

    assert again.rows == examined_report.rows
    assert (again.classes, again.baseline) == (("zero", "<one>"), "student alone")


@pytest.mark.parametrize("field", ["confusions", "robustness", "accuracy"])
def test_a_report_whose_examination_lacks_a_field_is_refused(examined_report, field):
    content = json.loads(examined_report.to_json())
    del content["rows"][0]["examination"][field]

    with pytest.raises(ValueError, match=f"no report of kd_keras.*{field}"):
        Report.from_json(json.dumps(content))


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
        "from kd_keras import report\n"
        "from rich.console import Console\n"
        f"report.print_table(report.read_report({str(path)!r}), Console())\n"
        "print([m for m in ('tensorflow', 'keras', 'matplotlib') if m in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "student alone" in done.stdout
    assert done.stdout.endswith("[]\n")
