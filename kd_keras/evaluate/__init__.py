"""How good a model is, and the report that says so.

The measures take arrays and know nothing of files; `predict_logits` makes the arrays from a Keras
model and a dataset. matplotlib is imported when a report is written, not when this package is.
"""

from kd_keras.evaluate.calibration import cross_entropy, expected_calibration_error
from kd_keras.evaluate.prediction import predict_logits
from kd_keras.evaluate.report import Report, ResultRow, read_report, write_report
from kd_keras.evaluate.table import print_table
from kd_keras.evaluate.top_one import accuracy, agreement

__all__ = [
    "Report",
    "ResultRow",
    "accuracy",
    "agreement",
    "cross_entropy",
    "expected_calibration_error",
    "predict_logits",
    "print_table",
    "read_report",
    "write_report",
]
