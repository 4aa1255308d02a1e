"""A report as one self-contained HTML page."""

from __future__ import annotations

import json
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from kd_keras.evaluate.curves import charts
from kd_keras.evaluate.report import Report
from kd_keras.evaluate.table import COLUMNS, cells


def environment() -> Environment:
    """Return what finds and fills the templates of this room; it escapes all text."""
    return Environment(
        loader=PackageLoader("kd_keras.evaluate"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(report: Report) -> str:
    """Return the page's HTML. All text of the report is escaped."""
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            columns=COLUMNS,
            rows=[cells(row) for row in report.rows],
            recipe={name: _value(value) for name, value in report.recipe.items()},
            seconds={name: _duration(value) for name, value in report.seconds.items()},
            total=_duration(sum(report.seconds.values())),
            charts=charts(report.histories),
        )
    )


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
