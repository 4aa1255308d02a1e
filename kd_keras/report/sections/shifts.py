"""Accuracy on rotated and scaled images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kd_keras.report.drawing import Chart, draw, in_percent, line
from kd_keras.report.results import Report
from kd_keras.report.sections.section import Section

_Curve = tuple[tuple[float, float], ...]
_OUTSIDE = {"constant": "black", "reflect": "the mirrored image"}


def section(report: Report) -> Section | None:
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
