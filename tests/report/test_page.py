"""The page holds every number, needs no network, and lets no text become markup."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from kd_keras.report import Report, page
from kd_keras.report.measures import brief_table

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Collects tags, attributes and the text of cells, and checks that tags nest."""

    def __init__(self, html: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.cells: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        self.text += data
        if self.open and ("td" in self.open or "th" in self.open):
            self.cells[-1] += data


@pytest.fixture(scope="module")
def html(report) -> str:
    return page.render(report)


def test_tags_nest_and_close(html):
    assert html.startswith("<!DOCTYPE html>")
    assert Page(html).open == []


def test_every_cell_of_the_results_recipe_environment_and_times_is_there(html, report):
    got = Page(html).cells

    table = brief_table(report)
    columns = len(table.headings)
    assert got[:columns] == list(table.headings)
    results = [cell for row in table.rows for cell in row]
    assert got[columns:][: len(results)] == results
    assert got[columns + len(results) :] == [
        *("epochs", "3", "temperature", "4.0", "policy", "digits", "data_dir", "null"),
        *("python", "3.11.2", "keras", "3.15.1"),
        *("teacher", "44.2 s", "distilled", "1 min 1 s", "total", "1 min 45 s"),
    ]


def test_every_history_has_its_curves(html):
    parsed = Page(html)

    captions = re.findall(r"<figcaption>(.*?)</figcaption>", html)
    assert captions == [
        "validation accuracy",
        "teacher: loss",
        "teacher: accuracy",
        "student &lt;i&gt;: loss",
        "student &lt;i&gt;: accuracy",
    ]
    assert parsed.tags.count("svg") == len(captions)
    assert "val_accuracy" in parsed.text


def test_nothing_is_fetched_from_anywhere(html):
    parsed = Page(html)

    assert not {"script", "link", "iframe", "img", "image", "object"} & set(parsed.tags)
    assert not re.search(r"@import|url\((?!#)", html)
    for tag, name, value in parsed.attributes:
        if name in ("href", "xlink:href", "src", "srcset", "data", "action"):
            assert value.startswith("#"), f"<{tag} {name}={value!r}>"


def test_text_of_the_report_is_no_markup(html, report):
    parsed = Page(html)

    assert report.command in parsed.text
    assert report.title in parsed.text
    assert "b" not in parsed.tags and "i" not in parsed.tags


def test_a_report_without_histories_has_no_curves():
    html = page.render(Report("t", "c"))

    assert "<svg" not in html
    assert "Training" not in html


def test_a_single_epoch_and_an_empty_history_are_drawn():
    html = page.render(
        Report("t", "c", histories={"a": {"loss": [1.0], "lr": [0.1]}, "b": {"loss": []}})
    )

    assert html.count("<svg") == 1


def test_drawing_leaves_matplotlib_as_it_was(report):
    import sys

    import matplotlib

    before = dict(matplotlib.rcParams)
    page.render(report)

    assert dict(matplotlib.rcParams) == before
    assert (
        "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    )


def test_the_same_report_gives_the_same_page(html, report):
    assert page.render(report) == html


def test_a_browser_shows_the_page_without_overflow(html, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("needs Debian's chromium")
    # The page measures itself: headless Chromium prints the document after scripts ran.
    probe = "<script>document.title = document.documentElement.scrollWidth</script></body>"
    path = tmp_path / "report.html"
    path.write_text(html.replace("</body>", probe), encoding="utf-8")
    command = [
        *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
        *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
        *("--disable-sync", f"--user-data-dir={tmp_path / 'profile'}", "--window-size=520,900"),
        *("--dump-dom", path.as_uri()),
    ]

    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    title = re.search(r"<title>(\d+)</title>", done.stdout)
    assert title is not None and int(title[1]) <= 520
