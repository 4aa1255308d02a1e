"""How good a model is, in numbers; `kd_keras.report` says them to a person.

The measures take arrays and know nothing of files; `predict_logits` makes the arrays from a Keras
model and a dataset. TensorFlow is imported when a model is run, and not when this package is.
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
    fit_temperature,
    reliability,
)
from kd_keras.evaluate.examination import Examination, Fidelity, TrainingScores
from kd_keras.evaluate.examine import examine
from kd_keras.evaluate.fidelity import agreement, kl_to_teacher
from kd_keras.evaluate.per_class import ClassScores, class_scores, confusion_matrix
from kd_keras.evaluate.prediction import predict_logits
from kd_keras.evaluate.robustness import Robustness, Trials
from kd_keras.evaluate.segmentation import (
    SegmentationScores,
    boundary_error,
    segmentation_scores,
)
from kd_keras.evaluate.shift import rotate, scale
from kd_keras.evaluate.top_one import accuracy
from kd_keras.evaluate.view_quality import teacher_stddev
from kd_keras.moved import moved

if TYPE_CHECKING:
    from kd_keras.evaluate import corruptions

__all__ = [
    "ClassScores",
    "Examination",
    "Fidelity",
    "Reliability",
    "Robustness",
    "SegmentationScores",
    "TrainingScores",
    "Trials",
    "accuracy",
    "agreement",
    "boundary_error",
    "brier_score",
    "class_scores",
    "confusion_matrix",
    "corruptions",
    "cross_entropy",
    "examine",
    "expected_calibration_error",
    "fgsm",
    "fit_temperature",
    "kl_to_teacher",
    "pgd",
    "predict_logits",
    "reliability",
    "rotate",
    "scale",
    "segmentation_scores",
    "teacher_stddev",
]


_moved = moved(
    "kd_keras.evaluate",
    dict.fromkeys(
        ("Report", "ResultRow", "print_table", "read_report", "write_report"), "kd_keras.report"
    ),
)


def __getattr__(name: str) -> Any:
    if name == "corruptions":
        return importlib.import_module("kd_keras.evaluate.corruptions")
    return _moved(name, stacklevel=3)
