"""Files, names and reports of strangers at every front door: shown, and nothing in them acts."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from ai_edge_litert import schema_py_generated as schema
from rich.console import Console

from kd_keras.cli import main
from kd_keras.demo.web_runtime import BUILDS, WebRuntime
from kd_keras.experiments.study.grid import Treatment
from kd_keras.experiments.study.pages import as_markdown, render
from kd_keras.experiments.study.report import write_study_report
from kd_keras.experiments.study.statistics import Estimate
from kd_keras.experiments.study.summary import Spread, Summary, TreatmentResult
from kd_keras.export import metadata
from kd_keras.export.metadata_file import serialized
from kd_keras.jobs.ranking import PolicyScore, Ranking
from kd_keras.report import Report, ResultRow, print_table, write_report
from kd_keras.report.saying import say
from tests.report.test_page import Page
from tests.test_escaping import rendered

RELEASED = Path(__file__).parents[1] / "saved_models" / "released" / "digits_student_int8.tflite"
SCRIPT = "<script>alert(1)</script>"
ERASE = "\x1b[2J\x1b]0;mine\x07"
LABELS = (
    *(f"{ERASE}cat", SCRIPT, "[red]b[/]", ":dog:", "=1+1", "$\\frac{1}$", "\u202egnp.exe"),
    *("</script><b>", "{{ 7*7 }}", "a|b"),
)
HOSTILE = f"{ERASE}[/bold] {SCRIPT} | =1+1"


@pytest.fixture(autouse=True)
def _fresh_seeds():
    """Instead of the one for all tests, which clears Keras's session: no test here trains."""


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A file of somebody who did not pack it with this package, under a name of his own."""
    monkeypatch.setattr(metadata, "is_class_name", lambda name: True)
    path = tmp_path / f"[bold]{ERASE[:4]}.tflite"
    path.write_bytes(metadata.pack(RELEASED.read_bytes(), labels=LABELS, name=HOSTILE))
    return path


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "[i]\x1b[31m.png"
    PIL.Image.fromarray(np.zeros((8, 8), "uint8")).save(path)
    return path


def acts(text):
    """Whether something in a terminal's output is no text."""
    return re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e]", text)


def test_predict_shows_labels_and_names_as_they_are(file, picture, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    assert main(["predict", str(file), str(picture), "--top", "10"]) == 0
    said = capsys.readouterr()
    assert not acts(said.out + said.err)
    shown = [label.replace("\x1b", r"\x1b").replace("\x07", r"\x07") for label in LABELS]
    for text in (
        *shown[:6],
        r"\u202egnp.exe",
        *shown[7:],
        r"[bold]\x1b[2J.tflite",
        r"[i]\x1b[31m.png",
    ):
        assert text in said.out, text
    assert main(["predict", str(file), str(picture), "--top", "10", "--json"]) == 0
    said = capsys.readouterr().out
    assert not acts(said)
    found = json.loads(said)["pictures"][0]
    assert {score["label"] for score in found["classes"]} == set(LABELS)


@pytest.mark.parametrize(
    ("scale", "told"), [(None, "the scale of"), (float("nan"), "unsupported scale value (nan)")]
)
def test_a_file_that_lost_a_scale_is_refused_and_ends_no_process(
    scale, told, picture, tmp_path, capsys
):
    model = schema.ModelT.InitFromPackedBuf(RELEASED.read_bytes(), 0)
    graph = model.subgraphs[0]
    convolution = next(each for each in graph.operators if len(each.inputs) == 3)
    kept = graph.tensors[convolution.outputs[0]].quantization
    kept.scale, kept.zeroPoint = (None, None) if scale is None else (np.float32([scale]), [0])
    path = tmp_path / "lost.tflite"
    path.write_bytes(serialized(model))
    assert main(["predict", str(path), str(picture)]) == 1
    said = capsys.readouterr().err
    assert f"LiteRT cannot load the .tflite file: {told}" in said


def test_the_demo_page_runs_nothing_of_the_file(file, tmp_path, monkeypatch, capsys):
    small = WebRuntime(b"core", b"utils", {build: (b"js", b"wasm") for build in BUILDS})
    monkeypatch.setattr("kd_keras.demo.page.web_runtime", lambda: small)
    assert main(["demo", str(file), "--output", str(tmp_path / "x" / "[/i]\x1b[0m")]) == 0
    assert not acts(capsys.readouterr().out)
    html = (tmp_path / "x" / "[/i]\x1b[0m" / "index.html").read_text(encoding="utf-8")
    assert not acts(html)
    page = Page(html)
    assert page.open == [] and page.tags.count("script") == html.count("<script") == 8
    assert "alert" not in re.sub(r"\\u003cscript\\u003ealert|&lt;script&gt;alert", "", html)
    config = json.loads(re.search(r'id="config">(.*?)</script>', html)[1])
    assert tuple(config["models"][0]["labels"]) == LABELS


def test_benchmark_and_its_errors_show_names_as_they_are(file, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["benchmark", str(file), "--runs", "1", "--warmup", "0", "--xnnpack", "on"]) == 0
    said = capsys.readouterr().out
    assert r"[bold]\x1b[2J.tflite" in said and not acts(said)
    file.write_bytes(b"damaged")
    assert main(["benchmark", str(file)]) == 1
    said = capsys.readouterr().err
    assert "[bold]" in said and not acts(said)


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", f"missing{ERASE}.tflite", "x.png"],
        ["verify", f"missing{ERASE}.tflite", "--data", "digits", "--debug"],
        ["export", f"missing{ERASE}.keras", "--data", "digits"],
    ],
)
def test_errors_show_names_as_they_are(arguments, capsys):
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert "missing" in said.err and not acts(said.out + said.err)


@pytest.mark.parametrize("arguments", [[f"ver{ERASE}"], ["predict", "a", "b", f"--nope={ERASE}"]])
def test_usage_errors_show_arguments_as_they_are(arguments, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    said = capsys.readouterr()
    assert r"\x1b" in said.err and not acts(said.out + said.err)


def test_data_of_no_name_are_refused_by_it_as_it_is(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["distill", ERASE]) == 1
    said = capsys.readouterr()
    assert r"\x1b" in said.err and "which is none of them" in said.err
    assert not acts(said.out + said.err) and list(tmp_path.iterdir()) == []


def test_a_line_break_in_an_error_begins_no_line_of_its_own(capsys, monkeypatch):
    def refused(*_, **__):
        raise ValueError("bad a\nkd-keras: all is well")

    monkeypatch.setattr("kd_keras.jobs.classify", refused)
    assert main(["predict", "a", "b"]) == 1
    assert capsys.readouterr().err.splitlines()[1] == "  kd-keras: all is well (traceback: --debug)"


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_policies_prints_and_writes_names_as_they_are(tmp_path, capsys, monkeypatch, suffix):
    monkeypatch.setenv("COLUMNS", "200")
    scores = (PolicyScore("[/red]=", (0.1, 0.3), 6, 1.5), PolicyScore("=1+1", (-0.5,), 6, 2.0))
    ranking = Ranking(HOSTILE, "/home/me/[b].keras", 64, 10, 20, 0, 6, scores)
    monkeypatch.setattr("kd_keras.jobs.rank_policies", lambda *_, **__: ranking)
    output = tmp_path / f"r[bold]{suffix}"
    assert main(["policies", "digits", "--output", str(output)]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == f"Written to {output}"
    assert "[/red]=" in said and "[b].keras" in said and SCRIPT in said and not acts(said)
    if suffix == ".csv":
        rows = list(csv.DictReader(output.read_text().splitlines()))
        assert [row["policy"] for row in rows] == ["[/red]=", "'=1+1"]
        assert [row["t_stddev"] for row in rows] == ["0.2", "-0.5"]
    else:
        assert json.loads(output.read_text())["teacher"] == "[b].keras"


def shown(show):
    out = io.StringIO()
    show(Console(file=out, width=300))
    return out.getvalue()


def test_a_report_of_a_stranger_acts_nowhere(tmp_path):
    report = Report(
        HOSTILE,
        HOSTILE,
        recipe={HOSTILE: HOSTILE},
        rows=(ResultRow(f"={HOSTILE}", accuracy=0.5),),
        histories={HOSTILE: {"val_accuracy": [0.1, 0.2]}, "b": {"val_accuracy": [0.1, 0.2]}},
        environment={HOSTILE: HOSTILE},
        seconds={HOSTILE: 1.0},
    )
    said = shown(lambda console: print_table(report, console))
    assert "[/bold]" in said and not acts(said)
    paths = [tmp_path / f"report.{suffix}" for suffix in ("html", "json", "csv")]
    write_report(paths[0], paths[1], report, paths[2])
    html = paths[0].read_text(encoding="utf-8")
    assert not acts(html) and "script" not in Page(html).tags and Page(html).open == []
    row = list(csv.reader(paths[2].read_text().splitlines()))[1]
    assert row[0].startswith("'=") and row[1] == "0.5" and not acts(row[0])


def test_a_study_of_a_stranger_acts_nowhere(tmp_path):
    treatment = Treatment(f"={HOSTILE}", HOSTILE, HOSTILE)
    estimate = Estimate(0.5, 0.4, 0.6, 2)
    cost = {"training_seconds": 1.0, "teacher_calls": 2.0}
    summary = Summary(
        title=HOSTILE,
        commands=[HOSTILE, "```", SCRIPT],
        recipe={HOSTILE: HOSTILE},
        treatments=[
            TreatmentResult(
                treatment,
                (0, 1),
                {"accuracy": Spread(0.5, 0.1)},
                estimate,
                cost,
                [0.5],
                {HOSTILE: [1.0]},
            )
        ],
        effects=(),
        missing=[HOSTILE],
        robustness_examples=8,
        environment={HOSTILE: HOSTILE},
    )
    said = shown(lambda console: write_study_report(tmp_path, summary, console))
    assert "[/bold]" in said and not acts(said)
    html = render(summary)
    assert not acts(html) and "script" not in Page(html).tags and Page(html).open == []
    text = as_markdown(summary)
    kinds, seen = rendered(text)
    assert not {"html_block", "html_inline", "em", "strong"} & kinds and not acts(text)
    assert seen.count(SCRIPT) >= 8
    row = list(csv.reader((tmp_path / "study_report.csv").read_text().splitlines()))[1]
    assert row[0].startswith("'=") and row[4] == "0.5"


def test_a_line_that_is_said_is_one_line():
    assert shown(lambda console: say(console, f"a{ERASE}\n[/b]", ":cat:")) == (
        "a\\x1b[2J\\x1b]0;mine\\x07\\n[/b]:cat:\n"
    )
