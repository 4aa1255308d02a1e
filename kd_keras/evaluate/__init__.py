"""How good a model is, and the report that says so.

The measures take arrays and know nothing of files; `predict_logits` makes the arrays from a Keras
model and a dataset. matplotlib is imported when a report is written, TensorFlow when a model is
run, and neither when this package is: a saved report is shown without them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kd_keras.evaluate.adversarial import fgsm, pgd
from kd_keras.evaluate.calibration import (
    Reliability,
    brier_score,
    cross_entropy,
    expected_calibration_error,
    reliability,
)
from kd_keras.evaluate.examination import Examination, Fidelity, TrainingScores
from kd_keras.evaluate.examine import examine
from kd_keras.evaluate.fidelity import agreement, kl_to_teacher
from kd_keras.evaluate.per_class import ClassScores, class_scores, confusion_matrix
from kd_keras.evaluate.prediction import predict_logits
from kd_keras.evaluate.report import Report, ResultRow, read_report, write_report
from kd_keras.evaluate.robustness import Robustness, Trials
from kd_keras.evaluate.shift import rotate, scale
from kd_keras.evaluate.table import print_table
from kd_keras.evaluate.top_one import accuracy
from kd_keras.evaluate.view_quality import teacher_stddev

if TYPE_CHECKING:
    from kd_keras.evaluate import corruptions

__all__ = [
    "ClassScores",
    "Examination",
    "Fidelity",
    "Reliability",
    "Report",
    "ResultRow",
    "Robustness",
    "TrainingScores",
    "Trials",
    "accuracy",
    "agreement",
    "brier_score",
    "class_scores",
    "confusion_matrix",
    "corruptions",
    "cross_entropy",
    "examine",
    "expected_calibration_error",
    "fgsm",
    "kl_to_teacher",
    "pgd",
    "predict_logits",
    "print_table",
    "read_report",
    "reliability",
    "rotate",
    "scale",
    "teacher_stddev",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name == "corruptions":
        return importlib.import_module("kd_keras.evaluate.corruptions")
    raise AttributeError(f"module 'kd_keras.evaluate' has no attribute {name!r}")
