"""The tables of a study, in one wording for the terminal and the page."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kd_keras.study.statistics import Estimate
from kd_keras.study.summary import Spread, Summary, TreatmentResult

_ABSENT = "\N{EN DASH}"
_PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
# Heading, measure, whether it is a share that is shown in percent.
_MEASURES = (
    ("accuracy %", "accuracy", True),
    ("ECE %", "ece", True),
    ("NLL", "nll", False),
    ("agreement %", "agreement", True),
    ("corrupted: error %", "corruption_error", True),
    ("mCE %", "mce", True),
    ("FGSM accuracy %", "fgsm_accuracy", True),
)

TREATMENT_COLUMNS = (
    "distillation",
    "augmentation",
    "seeds",
    *(heading for heading, _, _ in _MEASURES),
    "minutes",
    "teacher calls",
)
EFFECT_COLUMNS = ("effect on accuracy", "distillation", "augmentation", "seeds", "points", "95 %")


def treatment_rows(summary: Summary) -> list[tuple[str, ...]]:
    """Return the cells of the table of treatments, in the order of `TREATMENT_COLUMNS`."""
    return [
        (
            _taught(row),
            row.treatment.augmentation,
            str(len(row.seeds)),
            *(_spread(row.measures.get(name), percent) for _, name, percent in _MEASURES),
            f"{row.cost['training_seconds'] / 60:.1f}",
            _thousands(row.cost["teacher_calls"]),
        )
        for row in summary.treatments
    ]


def effect_rows(summary: Summary) -> list[tuple[str, ...]]:
    """Return the cells of the table of effects, in the order of `EFFECT_COLUMNS`."""
    return [
        (
            effect.kind,
            effect.treatment.distillation,
            effect.treatment.augmentation,
            str(effect.estimate.seeds),
            f"{100 * effect.estimate.mean:+.2f}",
            _interval(effect.estimate),
        )
        for kind in ("interaction", "distillation", "augmentation")
        for effect in summary.effects
        if effect.kind == kind
    ]


def print_tables(summary: Summary, console: Console) -> None:
    """Print both tables and what is missing."""
    _print(summary.title, TREATMENT_COLUMNS, treatment_rows(summary), console, texts=2)
    if summary.effects:
        _print("effects", EFFECT_COLUMNS, effect_rows(summary), console, texts=3)
    if summary.missing:
        console.print(
            f"{len(summary.missing)} cells are not finished: {', '.join(summary.missing[:4])}"
            f"{' ...' if len(summary.missing) > 4 else ''}. The same command goes on with them.",
            highlight=False,
        )


def _print(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    console: Console,
    texts: int,
) -> None:
    table = Table(title=escape(title))
    for index, name in enumerate(columns):
        table.add_column(name, justify="left" if index < texts else "right")
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)


def _taught(row: TreatmentResult) -> str:
    treatment = row.treatment
    if not treatment.teacher_augmentation:
        return treatment.distillation
    return f"{treatment.distillation} (teacher: {treatment.teacher_augmentation})"


def _spread(spread: Spread | None, percent: bool) -> str:
    if spread is None:
        return _ABSENT
    factor, digits = (100, 2) if percent else (1, 3)
    text = f"{factor * spread.mean:.{digits}f}"
    if spread.deviation is not None:
        text += f" {_PLUS_MINUS} {factor * spread.deviation:.{digits}f}"
    return text


def _interval(estimate: Estimate) -> str:
    return f"{100 * estimate.low:+.2f} to {100 * estimate.high:+.2f}"


def _thousands(count: float) -> str:
    return f"{round(count):,}"
