"""The tables of a study."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console

from kd_keras.experiments.study.grid import Treatment
from kd_keras.experiments.study.summary import EFFECTS, Spread, Summary, TreatmentResult
from kd_keras.report.saying import say
from kd_keras.report.table import ABSENT, Table, show

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


def readable_tables(summary: Summary, deviations: bool = True) -> list[Table]:
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

    quality = Table(
        (*_KEYS, "seeds", *(heading for heading, _, _ in _QUALITY)),
        [
            (*_keys(row.treatment), str(len(row.seeds)), *measured(row, _QUALITY))
            for row in treatments
        ],
        title="clean test images",
        texts=3,
        compact=True,
    )
    robustness = Table(
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
        title="robustness and cost",
        texts=3,
        compact=True,
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


def legend(summary: Summary) -> tuple[str, str]:
    """Return what the tables of quality and cost mean, and what those of effects do."""
    keep = summary.recipe.get("keep", "last")
    return (
        f"Test split, after the {keep} epoch: mean {_PLUS_MINUS} standard deviation over seeds. "
        "Teacher: what it was trained on. Corruptions (15 of CIFAR-C at 5 severities) and FGSM "
        f"(8/255) on {summary.robustness_examples:,} images of it, evenly spaced. mCE is relative "
        "to students with neither distillation nor augmentation; below 100 % is better. Minutes "
        "and teacher calls are those of one student's training; a call is one image through the "
        "teacher, whose own training is not counted.",
        "Effects are points of test accuracy. Distillation: against the same augmentation without "
        "a teacher. Augmentation: against the same distillation without augmentation. Interaction: "
        "what both give together beyond the sum of what each gives alone. Over kl: against the KL "
        "divergence alone. Picking: against the same policy without it, which asks the teacher "
        "half as often. Feedback: against the uniform choice that follows nothing. Intervals: "
        "hierarchical bootstrap over seeds and test images; the teacher is one and the same, so "
        "they do not say how another would do.",
    )


def print_tables(summary: Summary, console: Console) -> None:
    """Print the tables and what is missing."""
    say(console, summary.title, bold=True)
    for table in readable_tables(summary, deviations=False):
        show(table, console)
    if summary.missing:
        names = ", ".join(summary.missing[:4]) + (" ..." if len(summary.missing) > 4 else "")
        missing = f"{len(summary.missing)} cells are not finished: {names}."
        say(console, f"{missing} The same command goes on with them.")


def _effects(summary: Summary) -> Table:
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
    return Table(columns, rows, title="effects on accuracy", texts=4, compact=True)


def _keys(treatment: Treatment) -> tuple[str, str, str]:
    teacher = treatment.teacher_augmentation or ABSENT
    return treatment.distillation, teacher, treatment.augmentation


def _spread(spread: Spread | None, percent: bool, deviation: bool) -> str:
    if spread is None:
        return ABSENT
    factor, digits = (100, 2) if percent else (1, 3)
    text = f"{factor * spread.mean:.{digits}f}"
    if deviation and spread.deviation is not None:
        text += f" {_PLUS_MINUS} {factor * spread.deviation:.{digits}f}"
    return text
