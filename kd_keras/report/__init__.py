"""What a person reads of a run: tables, charts and pages, each in one wording for every medium.

matplotlib is imported when a page is written, TensorFlow never: a saved report is shown without
them.
"""

from kd_keras.report.files import write_report
from kd_keras.report.measures import print_table
from kd_keras.report.results import Report, ResultRow, read_report

__all__ = ["Report", "ResultRow", "print_table", "read_report", "write_report"]
