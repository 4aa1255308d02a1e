"""The tables of a study, in one wording for the terminal and the page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from kd_keras.escaping import terminal
from kd_keras.run.saying import say
from kd_keras.study.grid import Treatment
from kd_keras.study.summary import EFFECTS, Spread, Summary, TreatmentResult

_ABSENT = "\N{EN DASH}"
_PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
_KEYS = ("distilled", "teacher", "augmentation")
# Heading, measure, whether it is a share that is shown in percent.
_QUALITY = (
    ("accuracy %", "accuracy", True),
    ("ECE %", "ece", True),
    ("NLL", "nll", False),
    ("same answer %", "agreement", True),
)
_ROBUSTNESS = (
    ("corrupt error %", "corruption_error", True),
    ("mCE %", "mce", True),
    ("FGSM acc. %", "fgsm_accuracy", True),
)
_COST = ("minutes", "teacher calls")


class ReadableTable(NamedTuple):
    """A table as a reader sees it; the first `texts` columns hold words, the rest numbers."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    texts: int


def readable_tables(summary: Summary, deviations: bool = True) -> list[ReadableTable]:
    """Return the tables of quality, of robustness and cost, and, where there are any, of effects.

    Args:
        summary: A study.
        deviations: Whether all measures show their standard deviation, or the accuracy alone.
    """
    treatments = summary.treatments

    def measured(row: TreatmentResult, chosen: Sequence[tuple[str, str, bool]]) -> list[str]:
        return [
            _spread(row.measures.get(name), percent, deviations or name == "accuracy")
            for _, name, percent in chosen
        ]

    quality = ReadableTable(
        "clean test images",
        (*_KEYS, "seeds", *(heading for heading, _, _ in _QUALITY)),
        [
            (*_keys(row.treatment), str(len(row.seeds)), *measured(row, _QUALITY))
            for row in treatments
        ],
        texts=3,
    )
    robustness = ReadableTable(
        "robustness and cost",
        (*_KEYS, *(heading for heading, _, _ in _ROBUSTNESS), *_COST),
        [
            (
                *_keys(row.treatment),
                *measured(row, _ROBUSTNESS),
                f"{row.cost['training_seconds'] / 60:.1f}",
                f"{round(row.cost['teacher_calls']):,}",
            )
            for row in treatments
        ],
        texts=3,
    )
    tables = [quality, robustness]
    if summary.effects:
        tables.append(_effects(summary))
    return tables


def readable_recipe(summary: Summary) -> dict[str, str]:
    """Return what all cells share, by name."""
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in summary.recipe.items()
        # Each cell has its own.
        if name not in ("policy", "seed")
    }


def print_tables(summary: Summary, console: Console) -> None:
    """Print the tables and what is missing."""
    say(console, summary.title, bold=True)
    for table in readable_tables(summary, deviations=False):
        _print(table, console)
    if summary.missing:
        names = ", ".join(summary.missing[:4]) + (" ..." if len(summary.missing) > 4 else "")
        missing = f"{len(summary.missing)} cells are not finished: {names}."
        say(console, f"{missing} The same command goes on with them.")


def _effects(summary: Summary) -> ReadableTable:
    rows = [
        (
            effect.kind,
            *_keys(effect.treatment),
            str(effect.estimate.seeds),
            f"{100 * effect.estimate.mean:+.2f}",
            f"{100 * effect.estimate.low:+.2f}, {100 * effect.estimate.high:+.2f}",
        )
        for kind in EFFECTS
        for effect in summary.effects
        if effect.kind == kind
    ]
    columns = ("effect", *_KEYS, "seeds", "points", "95% interval")
    return ReadableTable("effects on accuracy", columns, rows, texts=4)


def _print(table: ReadableTable, console: Console) -> None:
    drawn = Table(
        title=terminal(table.title, "table.title"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for index, name in enumerate(table.columns):
        heading = name.replace(" ", "\n")
        if index < table.texts:
            drawn.add_column(heading, no_wrap=True)
        else:
            drawn.add_column(heading, no_wrap=True, justify="right")
    for row in table.rows:
        drawn.add_row(*map(terminal, row))
    console.print(drawn)


def _keys(treatment: Treatment) -> tuple[str, str, str]:
    teacher = treatment.teacher_augmentation or _ABSENT
    return treatment.distillation, teacher, treatment.augmentation


def _spread(spread: Spread | None, percent: bool, deviation: bool) -> str:
    if spread is None:
        return _ABSENT
    factor, digits = (100, 2) if percent else (1, 3)
    text = f"{factor * spread.mean:.{digits}f}"
    if deviation and spread.deviation is not None:
        text += f" {_PLUS_MINUS} {factor * spread.deviation:.{digits}f}"
    return text
