"""The results table, cell by cell."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from kd_keras.report import Report, ResultRow, print_table
from kd_keras.report.measures import brief_table
from kd_keras.report.table import ABSENT, Table, as_markdown, show, size


def cells(row):
    return brief_table(Report("", "", rows=(row,))).rows[0]


def test_cells_are_in_the_order_of_the_columns():
    row = ResultRow("student", 0.96389, 0.969, 1_234_567, 13_312, 0.00567)

    assert brief_table(Report("", "")).headings == (
        *("model", "accuracy", "agreement", "parameters", "size", "latency"),
    )
    assert cells(row) == ("student", "96.39 %", "96.90 %", "1,234,567", "13.3 kB", "0.006 ms")


def test_what_does_not_apply_is_a_dash_and_zero_is_not():
    assert cells(ResultRow("teacher")) == ("teacher", *[ABSENT] * 5)
    assert cells(ResultRow("untrained", 0.0, 0.0, 0))[1:4] == ("0.00 %", "0.00 %", "0")


@pytest.mark.parametrize(
    ("count", "text"),
    [(999, "999 B"), (1000, "1.0 kB"), (304_216, "304.2 kB"), (1_094_452, "1.09 MB")],
)
def test_sizes_are_in_decimal_units(count, text):
    assert size(count) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(0.3994, "0.399 ms"), (15.42, "15.4 ms"), (250.4, "250 ms")]
)
def test_latencies_have_three_digits(milliseconds, text):
    assert cells(ResultRow("a", latency_ms=milliseconds))[5] == text


def printed(report: Report, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_table(report, console)
    return console.file.getvalue()


def test_every_cell_is_printed(report):
    text = printed(report, 100)

    assert report.title in text
    for row in report.rows:
        for cell in cells(row):
            assert cell in text


def test_a_narrow_terminal_folds_the_names_and_loses_nothing(report):
    text = printed(report, 70)

    assert "…" not in text
    assert "0.006 ms" in text


def test_brackets_in_a_name_are_no_markup():
    report = Report("[red]t[/red]", "c", rows=(ResultRow("[bold]student[/bold]"),))

    assert "[bold]student[/bold]" in printed(report, 100)
    assert "[red]t[/red]" in printed(report, 100)


def drawn(table, width=60):
    console = Console(file=io.StringIO(), width=width)
    show(table, console)
    return console.file.getvalue()


def test_rows_without_a_name_belong_to_the_row_above_them():
    table = Table(("file", "ms"), [("a", "1"), ("", "2"), ("b", "3")])

    lines = drawn(table).splitlines()
    rules = [number for number, line in enumerate(lines) if set(line) <= set("├┤─┼")]
    assert [number - rules[0] for number, line in enumerate(lines) if "b" in line] == [1]
    assert len(rules) == 1


def test_a_compact_table_breaks_its_headings_and_keeps_its_numbers():
    text = drawn(Table(("a name", "top speed"), [("x" * 50, "1,234.5")], compact=True), width=30)

    assert "top speed" not in text
    assert "1,234.5" in text


def test_markdown_shows_what_stands_there_and_aligns_numbers():
    lines = as_markdown(Table(("a|b", "kB"), [("<i>", "1"), ("c", "22")])).splitlines()

    assert lines[0].startswith("| a&#124;b")
    assert lines[1].endswith("-:|")
    assert "&lt;i&gt;" in lines[2]
    assert len({len(line) for line in lines}) == 1


def test_where_there_is_little_room_paths_are_broken_and_words_and_numbers_are_not():
    rows = [("interaction", "kl", "standard", "cutmix+pick", "5", "-3.35", "-4.44, -2.17")]
    columns = ("effect", "distilled", "teacher", "augmentation", "seeds", "points", "95% interval")
    text = drawn(Table(columns, rows, texts=4, compact=True), width=80)
    assert all(cell in text for cell in rows[0])
    assert "interval" in text

    path = "/somewhere/" + "deep/" * 12 + "model.tflite"
    text = drawn(Table(("file", "latency"), [(path, "0.1234 ms")]), width=40)
    assert "0.1234 ms" in text
    assert path not in text
    assert path in "".join(
        line.split("\N{BOX DRAWINGS LIGHT VERTICAL}")[1].strip()
        for line in text.splitlines()
        if "\N{BOX DRAWINGS LIGHT VERTICAL}" in line
    )
