"""The results as CSV, for spreadsheets and data frames."""

from __future__ import annotations

from kd_keras.escaping import csv_table
from kd_keras.evaluate.measures import MEASURES
from kd_keras.evaluate.report import Report


def to_csv(report: Report) -> str:
    """Return one row for each model with every figure that is one number; empty: not measured.

    Shares are from 0 to 1, `nll` and `kl` in nats, `mce` against the report's baseline.

    Example:

    >>> from kd_keras.evaluate import Report, ResultRow
    >>> from kd_keras.evaluate.sheet import to_csv
    >>> report = Report("digits", "kd-keras distill digits", rows=(ResultRow("teacher", 0.98),))
    >>> to_csv(report).splitlines()[1][:15]
    'teacher,0.98,,,'
    """
    heading = ["model", *(measure.name for measure in MEASURES)]
    rows = [[row.name, *(measure.value(row) for measure in MEASURES)] for row in report.rows]
    return csv_table([heading, *rows])
