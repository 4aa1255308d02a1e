"""Scores of each class, and which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kd_keras.evaluate.examination import Examination
from kd_keras.report.drawing import COLOURS, Chart, draw
from kd_keras.report.results import Report
from kd_keras.report.sections.section import Section
from kd_keras.report.table import ABSENT, Table, percent

# More classes than these make a table to unfold, and a matrix whose cells nobody can read.
_SHOWN = 30
_NUMBERED = 12


def section(report: Report) -> Section | None:
    """Return precision and recall of each class for each model, and the confusion matrices."""
    examined = list(report.examinations.items())
    if not examined:
        return None
    first = examined[0][1]
    count = len(first.class_examples)
    names = report.class_names(count)
    noun = f"{report.noun}s" if first.segmentation is None else "pixels"
    headings = [
        "class",
        f"test {noun}",
        *(f"{name}: {score}" for name, _ in examined for score in ("precision", "recall")),
    ]
    rows = []
    for index, name in enumerate(names):
        scores = [
            ABSENT if share is None else percent(share)
            for _, e in examined
            for share in (e.precision[index], e.recall[index])
        ]
        rows.append([name, f"{first.class_examples[index]:,}", *scores])
    many = count > _SHOWN
    notes = [
        f"Recall, the accuracy on a class: of its {noun}, the share that is given it. Precision: "
        f"of the {noun} that are given it, the share that has it."
    ]
    if not many:
        notes.append("Below, how often a class (row) was taken for another (column).")
    return Section(
        "Classes",
        notes,
        Table(headings, rows, folded=f"Show all {count} classes" if many else ""),
        [] if many else [_matrix(name, e, names) for name, e in examined],
        small=count <= _NUMBERED,
    )


def _matrix(name: str, examination: Examination, names: Sequence[str]) -> Chart:
    count = len(names)

    def paint(axes: Any) -> None:
        from matplotlib.patches import Rectangle

        axes.grid(False)
        for label, given, times in examination.confusions:
            share = times / examination.class_examples[label]
            # Opacity and not a colour map: the text on it is legible on a light and a dark page.
            colour = COLOURS[0 if given == label else 1]
            opacity = 0.12 + 0.55 * share
            corner = (given - 0.5, label - 0.5)
            axes.add_patch(Rectangle(corner, 1, 1, facecolor=colour, alpha=opacity, linewidth=0))
            if count <= _NUMBERED:
                axes.text(given, label, times, ha="center", va="center", fontsize=9)
        places = range(count)
        axes.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5), aspect="equal")
        axes.set_xticks(places, names, rotation=0 if max(map(len, names)) < 3 else 90, fontsize=9)
        axes.set_yticks(places, names, fontsize=9)
        axes.set(xlabel="answer", ylabel="label")

    side = 3.6 if count <= _NUMBERED else 6.0
    return draw(name, paint, size=(side, side), legend=False)
