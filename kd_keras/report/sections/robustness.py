"""How far answers hold on changed examples: corruptions, perturbations, shifts of the camera."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kd_keras.report.drawing import Chart, draw, in_percent, line
from kd_keras.report.results import Report
from kd_keras.report.sections.section import Section
from kd_keras.report.table import Table, percent

_Curve = tuple[tuple[float, float], ...]
_OUTSIDE = {"constant": "black", "reflect": "the mirrored image"}


def corruptions(report: Report) -> Section | None:
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


def perturbations(report: Report) -> Section | None:
    """Return the accuracy of each model under each perturbation."""
    tried = {name: r for name, r in report.robustness.items() if r.perturbed}
    if not tried:
        return None
    first = next(iter(tried.values()))
    rows = [
        [change, *(percent(robustness.perturbed[change]) for robustness in tried.values())]
        for change in first.perturbed
    ]
    notes = [f"Share of right answers on {first.examples:,} test {report.noun}s, changed as named."]
    return Section("Perturbations", notes, Table(["perturbation", *tried], rows))


def shifts(report: Report) -> Section | None:
    """Return a chart of accuracy by angle and one by factor, with a line for each model."""
    tried = report.robustness
    charts = [
        _chart(heading, label, curves)
        for heading, label, curves in (
            ("rotation", "angle, degrees", {name: r.rotations for name, r in tried.items()}),
            ("scale", "factor", {name: r.scales for name, r in tried.items()}),
        )
        if any(curves.values())
    ]
    if not charts:
        return None
    first = next(iter(tried.values()))
    notes = [
        f"Accuracy on {first.examples:,} test images, turned or scaled about their centre. Beside "
        f"a turned or shrunken image stands {_OUTSIDE.get(first.border, first.border)}."
    ]
    return Section("Shift", notes, charts=charts)


def _chart(heading: str, label: str, curves: Mapping[str, _Curve]) -> Chart:
    def paint(axes: Any) -> None:
        for index, (name, curve) in enumerate(curves.items()):
            line(axes, index, name, [amount for amount, _ in curve], [share for _, share in curve])
        axes.set(xlabel=label, ylabel="accuracy", ylim=(0, 1.02))
        in_percent(axes.yaxis)

    return draw(heading, paint)


def left_out(report: Report) -> Section | None:
    """Return a row for each part that was left out for a model."""
    rows = [
        (name, part, reason)
        for name, robustness in report.robustness.items()
        for part, reason in robustness.left_out.items()
    ]
    return Section("Left out", (), Table(("model", "part", "why"), rows)) if rows else None
