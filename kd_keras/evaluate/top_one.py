"""Accuracy: how often the largest score is the label's."""

from __future__ import annotations

from typing import Any

import numpy as np

from kd_keras.evaluate.arrays import as_classes, as_logits, counted


def accuracy(logits: Any, labels: Any, ignored: int | None = None) -> float:
    """Return the share of positions whose largest score is the label's.

    ```
    accuracy = mean_i [argmax_c logits_ic = label_i]
    ```

    Args:
        logits: Scores `(examples, classes)`, or `(examples, ..., classes)` for dense outputs;
            logits or probabilities. One column is the logit of a binary class (positive means
            class 1).
        labels: Class ids `(examples,)` or `(examples, 1)`, or one-hot or soft labels
            `(examples, classes)`.
        ignored: The label of positions that do not count; None if all do.

    Returns:
        A number from 0 to 1.

    Raises:
        ValueError: If the arrays are empty, their shapes do not fit, a label is out of range, or a
            score is NaN.

    Example:

    >>> import kd_keras
    >>> kd_keras.evaluate.accuracy([[2.0, 1.0], [0.0, 3.0]], [0, 0])
    0.5
    """
    logits, labels = counted(logits, labels, ignored)
    scores = as_logits(logits)
    return float(np.mean(scores.argmax(axis=-1) == as_classes(labels, scores)))
