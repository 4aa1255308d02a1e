"""The page of a study: every number, self-contained, and right in a browser."""

import dataclasses
import html
import re
import shutil
import subprocess

import pytest

from kd_keras.experiments.study.pages import render
from kd_keras.experiments.study.tables import readable_tables

# Of a study of eight cells, which takes most of a minute.
pytestmark = pytest.mark.slow


def test_the_page_holds_every_cell_of_every_table(finished):
    _, summary, _ = finished
    text = html.unescape(re.sub(r"<svg.*?</svg>|<[^>]*>", "\n", render(summary), flags=re.DOTALL))
    lines = {line.strip() for line in text.splitlines()}
    for table in readable_tables(summary):
        for row in table.rows:
            for cell in row:
                assert cell in lines, cell
    assert summary.commands[0] in lines


def test_the_markdown_holds_every_row_of_every_table(finished):
    folder, summary, _ = finished
    text = (folder / "study_report.md").read_text(encoding="utf-8")
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    for table in readable_tables(summary):
        assert list(table.headings) in found
        for row in table.rows:
            assert list(row) in found
    assert summary.commands[0] in text.splitlines()


def test_the_page_needs_no_network(finished):
    page = (finished[0] / "study_report.html").read_text(encoding="utf-8")
    assert not re.search(r'(?:src|href)="(?!#)', page.replace("xlink:href", "href"))
    assert "@import" not in page and "url(http" not in page


def test_names_become_no_markup(finished):
    _, summary, _ = finished
    evil = dataclasses.replace(summary, title="<script>alert(1)</script>", missing=("<b>cell</b>",))
    page = render(evil)
    assert "<script>" not in page and "<b>cell" not in page


@pytest.mark.skipif(
    not (shutil.which("chromium") or shutil.which("google-chrome")), reason="needs Chromium"
)
def test_in_a_browser_tables_and_charts_have_their_size(finished, tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    page = (finished[0] / "study_report.html").read_text(encoding="utf-8")
    probe = """<script>addEventListener("load", () => {
      const box = (e) => e.getBoundingClientRect();
      const bad = [...document.querySelectorAll("svg, table")].filter(
        (e) => box(e).width < 100 || box(e).height < 40).length;
      document.title = ["tables", document.querySelectorAll("table.results").length, "charts",
        document.querySelectorAll("svg").length, "bad", bad, "wide",
        document.documentElement.scrollWidth > innerWidth].join(" ");
    })</script></body>"""
    probed = tmp_path / "page.html"
    probed.write_text(page.replace("</body>", probe), encoding="utf-8")
    for width in (1100, 400):
        result = subprocess.run(
            [
                *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
                f"--window-size={width},1200",
                f"--user-data-dir={tmp_path / 'profile'}",
                probed.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=120,
        )
        title = re.search(r"<title>(.*?)</title>", result.stdout)
        assert title is not None, result.stderr
        # Accuracies, interaction, and validation curves with and without a teacher.
        assert title[1] == "tables 3 charts 4 bad 0 wide false"
