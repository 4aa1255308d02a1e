"""The sections of a report's page, below its results: one file for each."""

from __future__ import annotations

from kd_keras.report.results import Report
from kd_keras.report.sections import (
    calibration,
    chain,
    classes,
    corruptions,
    fidelity,
    maps,
    overfit,
    perturbed,
    shifts,
    training,
    untried,
)
from kd_keras.report.sections.section import Section

__all__ = ["Section", "sections"]

_IN_ORDER = (
    chain,
    maps,
    fidelity,
    calibration,
    classes,
    corruptions,
    perturbed,
    shifts,
    untried,
    overfit,
    training,
)


def sections(report: Report) -> list[Section]:
    """Return the sections that the report has something for."""
    made = (module.section(report) for module in _IN_ORDER)
    return [section for section in made if section is not None]
