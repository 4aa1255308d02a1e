"""The results table, in one wording for the terminal and the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kd_keras.escaping import terminal
from kd_keras.evaluate.measures import MEASURES
from kd_keras.evaluate.report import Report, ResultRow

if TYPE_CHECKING:
    from rich.console import Console

ABSENT = "\N{EN DASH}"


@dataclass(frozen=True)
class Table:
    """A table of text: the first cell of each row names it.

    Attributes:
        headings: Of the columns, the first included.
        rows: The cells.
        folded: What to click on to see the table, where it is too long to be shown at once.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: str = ""


def percent(share: float) -> str:
    """Return a share from 0 to 1 in percent."""
    return f"{100 * share:.2f} %"


def nats(value: float) -> str:
    """Return a divergence or a likelihood in nats."""
    return f"{value:.3f}"


def size(count: int) -> str:
    """Return a number of bytes in decimal units, as file managers and app stores count them."""
    if count < 1000:
        return f"{count} B"
    if count < 1_000_000:
        return f"{count / 1e3:.1f} kB"
    return f"{count / 1e6:.2f} MB"


def _latency(milliseconds: float) -> str:
    digits = 0 if milliseconds >= 100 else 1 if milliseconds >= 10 else 3
    return f"{milliseconds:.{digits}f} ms"


_Column = tuple[str, str, Callable[[Any], str]]
_VALUES = {measure.name: measure.value for measure in MEASURES}
_IN_A_TERMINAL = ("accuracy", "agreement", "parameters", "bytes", "latency_ms")
# For each column of the results: its heading, the measure in it and how that is written.
_ALL: tuple[_Column, ...] = (
    ("accuracy", "accuracy", percent),
    ("agreement", "agreement", percent),
    ("KL", "kl_to_teacher", nats),
    ("NLL", "nll", nats),
    ("ECE", "ece", percent),
    ("Brier", "brier", nats),
    ("mCE", "mce", nats),
    ("FGSM", "fgsm_accuracy", percent),
    ("PGD", "pgd_accuracy", percent),
    ("parameters", "parameters", "{:,}".format),
    ("size", "bytes", size),
    ("latency", "latency_ms", _latency),
)
# A terminal has room for some of them.
_BRIEF = tuple(column for column in _ALL if column[1] in _IN_A_TERMINAL)
COLUMNS = ("model", *(heading for heading, _, _ in _BRIEF))


def cells(row: ResultRow) -> tuple[str, ...]:
    """Return the row's cells in the order of `COLUMNS`, as a reader sees them."""
    return _cells(row, _BRIEF)


def wide_table(report: Report) -> Table:
    """Return the results with every column in which some model has a value."""
    used = [
        column
        for column in _ALL
        if column in _BRIEF or any(_VALUES[column[1]](row) is not None for row in report.rows)
    ]
    headings = ("model", *(heading for heading, _, _ in used))
    return Table(headings, [_cells(row, used) for row in report.rows])


def _cells(row: ResultRow, columns: Iterable[_Column]) -> tuple[str, ...]:
    values = ((_VALUES[name](row), text) for _, name, text in columns)
    return (row.name, *(ABSENT if value is None else text(value) for value, text in values))


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
    from rich.table import Table

    table = Table(title=terminal(report.title, "table.title"))
    for index, name in enumerate(COLUMNS):
        if index == 0:
            table.add_column(name, overflow="fold")
        else:
            table.add_column(name, justify="right", no_wrap=True)
    for row in report.rows:
        table.add_row(*map(terminal, cells(row)))
    console.print(table)
