"""Reliability diagrams."""

from __future__ import annotations

from typing import Any

from kd_keras.evaluate.calibration import Reliability
from kd_keras.report.drawing import AXES, COLOURS, Chart, draw, in_percent
from kd_keras.report.results import Report
from kd_keras.report.sections.section import Section


def section(report: Report) -> Section | None:
    """Return a reliability diagram for each model that was examined."""
    charts = [_diagram(name, e.reliability) for name, e in report.examinations.items()]
    notes = [
        "How often an answer is right (bars), by the probability that the model gives it, in bins "
        "of equal width. On the dashed line both are equal; a bar below it says that the model is "
        f"too sure. The fainter a bar, the fewer {report.noun}s are in it."
    ]
    return Section("Calibration", notes, charts=charts, small=True) if charts else None


def _diagram(name: str, reliability: Reliability) -> Chart:
    bins = len(reliability.examples)
    most = max(reliability.examples)

    def paint(axes: Any) -> None:
        for index, (share, count) in enumerate(
            zip(reliability.accuracy, reliability.examples, strict=True)
        ):
            if share is not None:
                axes.bar(
                    (index + 0.5) / bins,
                    share,
                    width=0.9 / bins,
                    color=COLOURS[0],
                    alpha=0.3 + 0.7 * count / most,
                )
        confidence, accuracy = (
            [value for value in values if value is not None]
            for values in (reliability.confidence, reliability.accuracy)
        )
        axes.plot(confidence, accuracy, "o", color=COLOURS[1], markersize=3.5)
        axes.plot([0, 1], [0, 1], "--", color=AXES, linewidth=1.2)
        axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
        in_percent(axes.xaxis)
        in_percent(axes.yaxis)

    return draw(name, paint, size=(3.6, 3.1), legend=False)
