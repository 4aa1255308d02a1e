"""The page of an examined report: every section, every number, in a browser and on a phone."""

from __future__ import annotations

import dataclasses
import html as html_module
import json
import re
import shutil
import subprocess

import pytest

from kd_keras.evaluate.corruptions import CORRUPTIONS
from kd_keras.report import Report, page
from kd_keras.report.sections import sections
from kd_keras.report.table import ABSENT
from tests.report.test_page import Page

HEADINGS = [
    "Fidelity to the teacher",
    "Calibration",
    "Classes",
    "Corruptions",
    "Shift",
    "Left out",
    "Overfit gap",
]


@pytest.fixture(scope="module")
def made(examined_report):
    return {section.heading: section for section in sections(examined_report)}


@pytest.fixture(scope="module")
def html(examined_report):
    return page.render(examined_report)


def test_every_section_is_there_once_and_in_order(made, html):
    assert list(made) == HEADINGS
    assert re.findall(r"<h2>(.*?)</h2>", html) == ["Results", *HEADINGS]


def test_the_results_have_a_column_for_every_figure_that_some_model_has(html):
    cells = Page(html).cells
    assert cells[:13] == [
        *("model", "accuracy", "agreement", "KL", "NLL", "ECE", "Brier", "mCE", "FGSM", "PGD"),
        *("parameters", "size", "latency"),
    ]
    assert cells[13:23] == [
        *("teacher <b>", "75.00 %", ABSENT, "0.125", "1.250", "35.00 %", "0.375", "1.250"),
        *("37.50 %", "25.00 %"),
    ]
    assert cells[39:49] == [
        *('file, "int8"', "62.50 %", ABSENT, "0.125", "1.250", "22.50 %", "0.375", "1.125"),
        *(ABSENT, ABSENT),
    ]


def test_tables_hold_the_figures(made):
    assert made["Fidelity to the teacher"].table.rows[1] == (
        *("student alone", "75.00 %", "0.125", "62.50 %", "0.500"),
    )
    assert made["Overfit gap"].table.rows[0] == (
        *("teacher <b>", "87.50 %", "75.00 %", "+12.50", "0.250", "1.250", "+1.000"),
    )
    assert made["Classes"].table.rows == [
        ["zero", "12", "75.00 %", "100.00 %", "50.00 %", "100.00 %", "62.50 %", "100.00 %"],
        ["<one>", "8", *[ABSENT, "0.00 %"] * 3],
    ]
    corruptions = made["Corruptions"].table
    assert corruptions.headings == ["corruption", "teacher <b>", "student alone", 'file, "int8"']
    names = [*(name.replace("_", " ") for name in CORRUPTIONS), "mean"]
    assert [row[0] for row in corruptions.rows] == names
    assert corruptions.rows[3] == ["defocus blur", "58.33 %", "50.00 %", "54.17 %"]
    assert made["Left out"].table.rows == [('file, "int8"', "attacks", "no gradient")]


def test_charts_show_what_they_are_of(made):
    counts = {heading: len(section.charts) for heading, section in made.items()}
    assert counts == {
        **dict.fromkeys(HEADINGS, 0),
        **{"Calibration": 3, "Classes": 3, "Corruptions": 1, "Shift": 2},
    }
    matrix = str(made["Classes"].charts[0].svg)
    for text in ("12", "8", "zero", "&lt;one&gt;", "answer", "label"):
        assert f">{text}</text>" in matrix
    severity = str(made["Corruptions"].charts[0].svg)
    assert "student alone" in severity and ">severity<" in severity
    # One bar for each bin that is not empty.
    diagram = made["Calibration"].charts[0].svg
    assert len(re.findall(r"fill: #0086c9", str(diagram))) == 2


def test_notes_say_how_many_images_and_what_stands_beside_them(made, html):
    assert "16 test images" in made["Corruptions"].notes[0]
    assert "1, 3, 5" in made["Corruptions"].notes[0]
    assert "“student alone”" in made["Corruptions"].notes[1]
    assert "stands black" in made["Shift"].notes[0]
    assert "views of 16" in made["Fidelity to the teacher"].notes[0]
    assert "at most 8/255 a pixel, PGD in 10 steps" in " ".join(html.split())


def test_a_report_without_examinations_has_none_of_it():
    assert sections(Report("t", "c")) == []


def test_many_classes_are_folded_and_have_no_matrix(examined_report):
    row = examined_report.rows[0]
    many = dataclasses.replace(
        row.examination, precision=(0.5,) * 40, recall=(0.5,) * 40, class_examples=(1,) * 40
    )
    report = Report("t", "c", rows=(dataclasses.replace(row, examination=many),))
    classes = next(s for s in sections(report) if s.heading == "Classes")
    assert classes.charts == []
    assert [cells[0] for cells in classes.table.rows] == [str(label) for label in range(40)]
    assert "<summary>Show all 40 classes</summary>" in page.render(report)


def test_the_page_is_well_formed_and_fetches_nothing(html):
    parsed = Page(html)
    assert parsed.open == []
    assert not {"script", "link", "iframe", "img", "image", "object", "b"} & set(parsed.tags)
    for tag, name, value in parsed.attributes:
        if name in ("href", "xlink:href", "src", "srcset", "data", "action"):
            assert value.startswith("#"), f"<{tag} {name}={value!r}>"
    names = [value for _, name, value in parsed.attributes if name == "id"]
    used = set(re.findall(r"url\(#([^)]+)\)", html)) | set(
        re.findall(r'xlink:href="#([^"]+)"', html)
    )
    assert used <= set(names)


PROBE = """<script>
const page = document.getElementById("page").contentDocument;
const box = element => { const b = element.getBoundingClientRect(); return [b.width, b.height]; };
document.title = JSON.stringify({
  width: page.documentElement.scrollWidth,
  svgs: [...page.querySelectorAll("svg")].map(box),
  tables: [...page.querySelectorAll("table")].map(t => [t.rows.length, ...box(t)]),
  wides: [...page.querySelectorAll("div.wide")].map(d => d.getBoundingClientRect().right),
  first: page.querySelector("table.results tbody td").innerText,
  requests: document.getElementById("page").contentWindow.performance
    .getEntriesByType("resource").map(entry => entry.name),
});
</script>"""


@pytest.mark.parametrize("width", [400, 1200])
def test_a_browser_shows_every_table_and_chart_and_asks_for_nothing(html, tmp_path, width):
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("needs Debian's chromium")
    # A frame is as narrow as it is told; a window of the browser is 500 pixels wide at least.
    frame = f'<iframe id="page" style="border:0;width:{width}px;height:800px" srcdoc="'
    path = tmp_path / "frame.html"
    shown = f'<body style="margin:0">{frame}{html_module.escape(html)}"></iframe>'
    loaded = "window.addEventListener('load', () => {", "});"
    probe = PROBE.replace("<script>", "<script>" + loaded[0]).replace(
        "</script>", loaded[1] + "</script>"
    )
    path.write_text(f"<!DOCTYPE html>{shown}{probe}</body>", encoding="utf-8")
    command = [
        *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
        *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
        *("--disable-sync", f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1300,900"),
        *("--dump-dom", path.as_uri()),
    ]

    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)

    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None, done.stdout[-500:]
    seen = json.loads(html_module.unescape(title[1]))
    assert seen["width"] <= width
    assert len(seen["svgs"]) == 9
    for w, h in seen["svgs"]:
        assert 150 < w <= width and h > 100
    assert [rows for rows, *_ in seen["tables"]] == [4, 4, 3, 17, 2, 4]
    assert all(w > 0 and h > 0 for _, w, h in seen["tables"])
    # A table wider than the page scrolls within its own box.
    assert max(seen["wides"]) <= width
    assert seen["first"] == "75.00 %"
    assert seen["requests"] == []
