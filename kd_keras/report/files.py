"""The files of a report: a page to look at, JSON to read again, CSV for spreadsheets."""

from __future__ import annotations

import os

from kd_keras.escaping import csv_table
from kd_keras.report.measures import MEASURES
from kd_keras.report.page import render
from kd_keras.report.results import Report
from kd_keras.whole_file import write_whole


def write_report(
    path_html: str | os.PathLike[str],
    path_json: str | os.PathLike[str],
    report: Report,
    path_csv: str | os.PathLike[str] | None = None,
) -> None:
    """Write a report as a page to look at, as JSON to read again, and as CSV for spreadsheets.

    The page is one file with everything in it, curves included: it needs no network. Each file
    appears whole or not at all, the JSON last, so that where it exists the others do too.

    Args:
        path_html: The page, such as `report.html`, in an existing folder.
        path_json: The data, such as `report.json`, in an existing folder.
        report: What they say.
        path_csv: The figures of each model, such as `report.csv`; left out where None.

    Raises:
        ValueError: If a folder is missing or cannot be written, or a result is not finite.
        TypeError: If the recipe holds something that JSON has no form for.

    Example:

    >>> from kd_keras.report import Report, ResultRow, read_report, write_report
    >>> report = Report("digits", "kd-keras distill digits", rows=(ResultRow("teacher", 0.98),))
    >>> write_report("report.html", "report.json", report)
    >>> read_report("report.json").rows[0].accuracy
    0.98
    """
    data = report.to_json()
    write_whole(path_html, render(report))
    if path_csv is not None:
        write_whole(path_csv, to_csv(report))
    write_whole(path_json, data + "\n")


def to_csv(report: Report) -> str:
    """Return one row for each model with every figure that is one number; empty: not measured.

    Shares are from 0 to 1, `nll` and `kl` in nats, `mce` against the report's baseline.

    Example:

    >>> from kd_keras.report import Report, ResultRow
    >>> from kd_keras.report.files import to_csv
    >>> report = Report("digits", "kd-keras distill digits", rows=(ResultRow("teacher", 0.98),))
    >>> to_csv(report).splitlines()[1][:15]
    'teacher,0.98,,,'
    """
    heading = ["model", *(measure.name for measure in MEASURES)]
    rows = [[row.name, *(measure.value(row) for measure in MEASURES)] for row in report.rows]
    return csv_table([heading, *rows])
