"""What was not tried, and why."""

from __future__ import annotations

from kd_keras.report.results import Report
from kd_keras.report.sections.section import Section
from kd_keras.report.table import Table


def section(report: Report) -> Section | None:
    """Return a row for each part that was left out for a model."""
    rows = [
        (name, part, reason)
        for name, robustness in report.robustness.items()
        for part, reason in robustness.left_out.items()
    ]
    return Section("Left out", (), Table(("model", "part", "why"), rows)) if rows else None
