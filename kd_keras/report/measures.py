"""Every figure of a model that is one number, in `report.csv`, on the page and in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kd_keras.report.results import Report, ResultRow
from kd_keras.report.table import ABSENT, Table, nats, percent, show, size

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Measure:
    """One figure of a model.

    Attributes:
        name: Its column in `report.csv`.
        value: Gives it, or None where it does not apply.
    """

    name: str
    value: Callable[[ResultRow], float | int | None]


def _examined(*path: str) -> Callable[[ResultRow], Any]:
    """Return a function that follows attributes from the examination, as far as there are any."""

    def value(row: ResultRow) -> Any:
        found: Any = row.examination
        for name in path:
            found = None if found is None else getattr(found, name)
        return found

    return value


MEASURES = (
    Measure("accuracy", lambda row: row.accuracy),
    Measure("agreement", lambda row: row.agreement),
    Measure("mean_iou", _examined("segmentation", "mean_iou")),
    Measure("mean_dice", _examined("segmentation", "mean_dice")),
    Measure("boundary_error", _examined("segmentation", "boundary_error")),
    Measure("kl_to_teacher", _examined("fidelity", "kl")),
    Measure("view_agreement", _examined("fidelity_on_views", "agreement")),
    Measure("view_kl_to_teacher", _examined("fidelity_on_views", "kl")),
    Measure("nll", _examined("cross_entropy")),
    Measure("ece", _examined("calibration_error")),
    Measure("brier", _examined("brier_score")),
    Measure("training_accuracy", _examined("training", "accuracy")),
    Measure("training_nll", _examined("training", "cross_entropy")),
    Measure("accuracy_gap", _examined("accuracy_gap")),
    Measure("nll_gap", _examined("cross_entropy_gap")),
    Measure("corruption_error", _examined("robustness", "corruption_error")),
    Measure("mce", lambda row: row.mce),
    Measure("fgsm_accuracy", _examined("robustness", "fgsm")),
    Measure("pgd_accuracy", _examined("robustness", "pgd")),
    Measure("test_examples", _examined("examples")),
    Measure("robustness_examples", _examined("robustness", "examples")),
    Measure("parameters", lambda row: row.parameters),
    Measure("bytes", lambda row: row.bytes),
    Measure("latency_ms", lambda row: row.latency_ms),
)


def _latency(milliseconds: float) -> str:
    digits = 0 if milliseconds >= 100 else 1 if milliseconds >= 10 else 3
    return f"{milliseconds:.{digits}f} ms"


_Column = tuple[str, str, Callable[[Any], str]]
_VALUES = {measure.name: measure.value for measure in MEASURES}
_IN_A_TERMINAL = ("accuracy", "agreement", "parameters", "bytes", "latency_ms")
# For each column of the results: its heading, the measure in it and how that is written.
_ALL: tuple[_Column, ...] = (
    ("accuracy", "accuracy", percent),
    ("mIoU", "mean_iou", percent),
    ("Dice", "mean_dice", percent),
    ("boundary error", "boundary_error", percent),
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
# A terminal has room for some of them, and for what says most of label maps.
_BRIEF = tuple(column for column in _ALL if column[1] in _IN_A_TERMINAL)
_OF_MAPS = tuple(c for c in _ALL if (c in _BRIEF and c[1] != "accuracy") or c[1] == "mean_iou")


def wide_table(report: Report) -> Table:
    """Return the results with every column in which some model has a value."""
    used = [
        column
        for column in _ALL
        if column in _BRIEF or any(_VALUES[column[1]](row) is not None for row in report.rows)
    ]
    return _table(report, used)


def brief_table(report: Report) -> Table:
    """Return the results with the columns that a terminal has room for."""
    has_maps = any(_VALUES["mean_iou"](row) is not None for row in report.rows)
    return _table(report, _OF_MAPS if has_maps else _BRIEF)


def print_table(report: Report, console: Console) -> None:
    """Print the results of a report as a table.

    Args:
        report: A report, made or read.
        console: The `rich` console to print on.

    Example:

    >>> from rich.console import Console
    >>> from kd_keras.report import Report, ResultRow, print_table
    >>> report = Report("digits", "kd-keras distill digits", rows=(ResultRow("teacher", 0.98),))
    >>> print_table(report, Console(width=80))
                                 digits
    ┏━━━━━━━━━┳━━━━━━━━━━┳━━━━━━━━━━━┳━━━━━━━━━━━━┳━━━━━━┳━━━━━━━━━┓
    ┃ model   ┃ accuracy ┃ agreement ┃ parameters ┃ size ┃ latency ┃
    ┡━━━━━━━━━╇━━━━━━━━━━╇━━━━━━━━━━━╇━━━━━━━━━━━━╇━━━━━━╇━━━━━━━━━┩
    │ teacher │  98.00 % │         – │          – │    – │       – │
    └─────────┴──────────┴───────────┴────────────┴──────┴─────────┘
    """
    show(brief_table(report), console)


def _table(report: Report, columns: Iterable[_Column]) -> Table:
    columns = tuple(columns)
    headings = ("model", *(heading for heading, _, _ in columns))
    return Table(headings, [_cells(row, columns) for row in report.rows], title=report.title)


def _cells(row: ResultRow, columns: Iterable[_Column]) -> tuple[str, ...]:
    values = ((_VALUES[name](row), text) for _, name, text in columns)
    return (row.name, *(ABSENT if value is None else text(value) for value, text in values))
