"""The sections of a report's page, below its results."""

from __future__ import annotations

from kd_keras.report.results import Report
from kd_keras.report.sections import calibration, chain, classes, gaps, maps, robustness, training
from kd_keras.report.sections.section import Section

__all__ = ["Section", "sections"]

_IN_ORDER = (
    chain.section,
    maps.section,
    gaps.fidelity,
    calibration.section,
    classes.section,
    robustness.corruptions,
    robustness.perturbations,
    robustness.shifts,
    robustness.left_out,
    gaps.overfit_gap,
    training.section,
)


def sections(report: Report) -> list[Section]:
    """Return the sections that the report has something for."""
    made = (section(report) for section in _IN_ORDER)
    return [section for section in made if section is not None]
