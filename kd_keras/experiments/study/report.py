"""Write a study's summary: pages to look at, JSON and CSV to go on with, tables to print."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import cast

from rich.console import Console

from kd_keras.escaping import csv_table
from kd_keras.experiments.study.grid import Cell, Treatment
from kd_keras.experiments.study.pages import as_markdown, render
from kd_keras.experiments.study.summary import Summary
from kd_keras.experiments.study.tables import print_tables
from kd_keras.recipes.recipe import Recipe, TeacherPolicyName
from kd_keras.report.saying import say
from kd_keras.whole_file import write_whole

PAGE = "study_report.html"
MARKDOWN = "study_report.md"
DATA = "study_report.json"
TABLE = "study_report.csv"
BEST = "best_recipe.json"
_CHOSEN_BY = "validation_accuracy"


def write_study_report(path: Path, summary: Summary, console: Console) -> None:
    """Write pages, JSON and CSV into a folder, each whole or not at all, and print the tables.

    Args:
        path: The folder of the study.
        summary: What to say.
        console: Where to print.
    """
    write_whole(path / PAGE, render(summary))
    write_whole(path / MARKDOWN, as_markdown(summary))
    write_whole(path / TABLE, _csv(summary))
    write_whole(path / DATA, summary.to_json())
    print_tables(summary, console)
    say(console, f"With curves: {path / PAGE}")


def write_best_recipe(path: Path, summary: Summary, recipe: Recipe, console: Console) -> None:
    """Write what distils as the best treatment of the study does, and say how to run it.

    The best is that on the validation split: the test split would be no test of it any more.

    Args:
        path: The folder of the study.
        summary: What was found.
        recipe: What all cells share.
        console: Where to print.
    """
    taught = [
        row
        for row in summary.treatments
        if row.treatment.teacher_augmentation and _CHOSEN_BY in row.measures
    ]
    if not taught:
        return
    best = max(taught, key=lambda row: row.measures[_CHOSEN_BY].mean).treatment
    write_whole(path / BEST, recipe_of(best, recipe).to_json())
    say(console, f"Best distilled on the validation split: {best.title}. To distil so:")
    say(console, f"  kd-keras distill --recipe {shlex.quote(str(path / BEST))}")


def recipe_of(treatment: Treatment, shared: Recipe) -> Recipe:
    """Return what `kd_keras.experiments.distill` runs to distil as the cells of a treatment do."""
    cell = Cell(**dataclasses.asdict(treatment), seed=shared.seed)
    policy = cast(TeacherPolicyName, treatment.teacher_augmentation)
    return dataclasses.replace(cell.recipe(shared), teacher_policy=policy)


def _csv(summary: Summary) -> str:
    """Return one row for each treatment, all measures and costs, in full precision."""
    measures = list(dict.fromkeys(name for row in summary.treatments for name in row.measures))
    costs = list(dict.fromkeys(name for row in summary.treatments for name in row.cost))
    spreads = [f"{name}_{part}" for name in measures for part in ("mean", "sd")]
    keys = ["distillation", "augmentation", "teacher_augmentation", "seeds"]
    rows: list[list[object]] = [[*keys, *spreads, *costs]]
    for row in summary.treatments:
        values: list[object] = []
        for name in measures:
            spread = row.measures.get(name)
            values += [None, None] if spread is None else [spread.mean, spread.deviation]
        treatment = row.treatment
        rows.append(
            [
                treatment.distillation,
                treatment.augmentation,
                treatment.teacher_augmentation,
                len(row.seeds),
                *values,
                *(row.cost.get(name) for name in costs),
            ]
        )
    return csv_table(rows)
