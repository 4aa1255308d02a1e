"""Errors under corruptions."""

from __future__ import annotations

from typing import Any

import numpy as np

from kd_keras.report.drawing import draw, in_percent, line
from kd_keras.report.results import Report
from kd_keras.report.sections.section import Section
from kd_keras.report.table import Table, percent


def section(report: Report) -> Section | None:
    """Return the error of each model under each corruption, and how it grows with severity."""
    tried = {name: r for name, r in report.robustness.items() if r.corruption_errors}
    if not tried:
        return None
    first = next(iter(tried.values()))
    rows = [
        [
            corruption.replace("_", " "),
            *(percent(float(np.mean(r.corruption_errors[corruption]))) for r in tried.values()),
        ]
        for corruption in first.corruption_errors
    ]
    means = [float(np.mean(list(r.corruption_errors.values()))) for r in tried.values()]
    rows.append(["mean", *map(percent, means)])
    notes = [
        f"Share of wrong answers on {first.examples:,} test images, mean of the severities "
        f"{', '.join(map(str, first.severities))}. The corruptions are those of CIFAR-10-C, made "
        "here for images of this size; frost is drawn and not photographed."
    ]
    if report.baseline and any(row.mce is not None for row in report.rows):
        notes.append(
            f"mCE, in the results: the mean over corruptions of a model's error divided by that of "
            f"“{report.baseline}”. Below 1 a model suffers less."
        )

    def paint(axes: Any) -> None:
        for index, (name, robustness) in enumerate(tried.items()):
            errors = np.mean(list(robustness.corruption_errors.values()), axis=0)
            line(axes, index, name, robustness.severities, errors)
        axes.set(xlabel="severity", ylabel="error, mean of the corruptions")
        axes.set_xticks(first.severities)
        in_percent(axes.yaxis)

    chart = draw("error by severity", paint, wide=True)
    return Section("Corruptions", notes, Table(["corruption", *tried], rows), [chart])
