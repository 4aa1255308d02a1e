"""A report as one self-contained HTML page."""

from __future__ import annotations

import json
from typing import Any

from kd_keras.escaping import html_template
from kd_keras.report.measures import wide_table
from kd_keras.report.results import Report
from kd_keras.report.sections import sections


def render(report: Report) -> str:
    """Return the page's HTML. All text of the report is escaped."""
    return html_template("kd_keras.report", "report.html.j2").render(
        report=report,
        results=wide_table(report),
        sections=sections(report),
        is_examined=bool(report.examinations),
        # What images were put through is the same for all models.
        robustness=next((r for r in report.robustness.values() if not r.perturbed), None),
        recipe={name: _value(value) for name, value in report.recipe.items()},
        seconds={name: _duration(value) for name, value in report.seconds.items()},
        total=_duration(sum(report.seconds.values())),
    )


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
