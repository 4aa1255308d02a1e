"""A report as one self-contained HTML page."""

from __future__ import annotations

import json
from typing import Any

from kd_keras.escaping import html_template
from kd_keras.evaluate.robustness import Robustness
from kd_keras.report.measures import wide_table
from kd_keras.report.results import Report
from kd_keras.report.sections import sections


def render(report: Report) -> str:
    """Return the page's HTML. All text of the report is escaped."""
    return html_template("kd_keras.report", "report.html.j2").render(
        report=report,
        results=wide_table(report),
        sections=sections(report),
        is_examined=any(row.examination is not None for row in report.rows),
        robustness=_robustness(report),
        recipe={name: _value(value) for name, value in report.recipe.items()},
        seconds={name: _duration(value) for name, value in report.seconds.items()},
        total=_duration(sum(report.seconds.values())),
    )


def _robustness(report: Report) -> Robustness | None:
    """Return what images were put through, which is the same for all models."""
    tried = (row.examination.robustness for row in report.rows if row.examination is not None)
    return next((r for r in tried if r is not None and not r.perturbed), None)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
