"""Accuracy on examples that were changed, where they are no images."""

from __future__ import annotations

from kd_keras.report.results import Report
from kd_keras.report.sections.section import Section
from kd_keras.report.table import Table, percent


def section(report: Report) -> Section | None:
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
