"""The results table, in one wording for the terminal and the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kd_keras.evaluate.report import Report, ResultRow

if TYPE_CHECKING:
    from rich.console import Console

COLUMNS = ("model", "accuracy", "agreement", "parameters", "size", "latency")
ABSENT = "\N{EN DASH}"


def cells(row: ResultRow) -> tuple[str, ...]:
    """Return the row's cells in the order of `COLUMNS`, as a reader sees them."""
    return (
        row.name,
        _percent(row.accuracy),
        _percent(row.agreement),
        ABSENT if row.parameters is None else f"{row.parameters:,}",
        ABSENT if row.bytes is None else size(row.bytes),
        ABSENT if row.latency_ms is None else f"{_three_digits(row.latency_ms)} ms",
    )


def size(count: int) -> str:
    """Return a number of bytes in decimal units, as file managers and app stores count them."""
    if count < 1000:
        return f"{count} B"
    if count < 1_000_000:
        return f"{count / 1e3:.1f} kB"
    return f"{count / 1e6:.2f} MB"


def print_table(report: Report, console: Console) -> None:
    """Print the results of a report as a table.

    Args:
        report: A report, made or read.
        console: The `rich` console to print on.

    Example:

    >>> from rich.console import Console
    >>> from kd_keras.evaluate import Report, ResultRow, print_table
    >>> report = Report("digits", "kd-keras distill digits", rows=(ResultRow("teacher", 0.98),))
    >>> print_table(report, Console(width=80))
                                 digits
    ┏━━━━━━━━━┳━━━━━━━━━━┳━━━━━━━━━━━┳━━━━━━━━━━━━┳━━━━━━┳━━━━━━━━━┓
    ┃ model   ┃ accuracy ┃ agreement ┃ parameters ┃ size ┃ latency ┃
    ┡━━━━━━━━━╇━━━━━━━━━━╇━━━━━━━━━━━╇━━━━━━━━━━━━╇━━━━━━╇━━━━━━━━━┩
    │ teacher │  98.00 % │         – │          – │    – │       – │
    └─────────┴──────────┴───────────┴────────────┴──────┴─────────┘
    """
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(report.title))
    for index, name in enumerate(COLUMNS):
        if index == 0:
            table.add_column(name, overflow="fold")
        else:
            table.add_column(name, justify="right", no_wrap=True)
    for row in report.rows:
        table.add_row(*map(escape, cells(row)))
    console.print(table)


def _percent(share: float | None) -> str:
    return ABSENT if share is None else f"{100 * share:.2f} %"


def _three_digits(milliseconds: float) -> str:
    if milliseconds >= 100:
        return f"{milliseconds:.0f}"
    return f"{milliseconds:.1f}" if milliseconds >= 10 else f"{milliseconds:.3f}"
