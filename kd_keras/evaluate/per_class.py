"""Which classes a model confuses, and how good it is on each.

scikit-learn is imported when it is needed: a saved report is read and shown without it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from kd_keras.evaluate.arrays import as_classes, as_logits


@dataclasses.dataclass(frozen=True)
class ClassScores:
    """Scores of each class, arrays `(classes,)`; NaN where a score is not defined.

    Attributes:
        precision: Of what was given this class, the share that has it; NaN if nothing was.
        recall: Of what has this class, the share that was given it, also called the accuracy on
            the class; NaN if nothing has it.
        examples: How many examples have the class.
    """

    precision: np.ndarray
    recall: np.ndarray
    examples: np.ndarray


def confusion_matrix(logits: Any, labels: Any) -> np.ndarray:
    """Return how often a label (row) was given a class (column).

    Args:
        logits: Scores `(examples, ..., classes)`, as in `accuracy`.
        labels: Class ids or one-hot labels, as in `accuracy`.

    Returns:
        Counts `(classes, classes)`; the diagonal holds the correct ones.

    Raises:
        ValueError: As `accuracy`.

    Example:

    >>> import kd_keras
    >>> kd_keras.evaluate.confusion_matrix([[2.0, 1.0], [0.0, 3.0], [0.0, 1.0]], [0, 0, 1])
    array([[1, 1],
           [0, 1]])
    """
    from sklearn import metrics

    scores = as_logits(logits)
    classes = as_classes(labels, scores)
    return metrics.confusion_matrix(
        classes.ravel(), scores.argmax(axis=-1).ravel(), labels=np.arange(scores.shape[-1])
    )


def class_scores(logits: Any, labels: Any) -> ClassScores:
    """Return precision and recall of each class.

    Args:
        logits: Scores `(examples, ..., classes)`, as in `accuracy`.
        labels: Class ids or one-hot labels, as in `accuracy`.

    Raises:
        ValueError: As `accuracy`.

    Example:

    >>> import kd_keras
    >>> kd_keras.evaluate.class_scores([[2.0, 1.0], [0.0, 3.0], [0.0, 1.0]], [0, 0, 1]).recall
    array([0.5, 1. ])
    """
    from sklearn import metrics

    scores = as_logits(logits)
    classes = as_classes(labels, scores)
    precision, recall, _, examples = metrics.precision_recall_fscore_support(
        classes.ravel(),
        scores.argmax(axis=-1).ravel(),
        labels=np.arange(scores.shape[-1]),
        zero_division=np.nan,
    )
    return ClassScores(precision, recall, examples)
