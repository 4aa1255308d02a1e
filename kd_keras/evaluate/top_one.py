"""Measures of the largest class: accuracy, and agreement of two models."""

from __future__ import annotations

from typing import Any

import numpy as np

from kd_keras.evaluate.arrays import as_classes, as_logits


def accuracy(logits: Any, labels: Any) -> float:
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
    scores = as_logits(logits)
    return float(np.mean(scores.argmax(axis=-1) == as_classes(labels, scores)))


def agreement(logits_a: Any, logits_b: Any) -> float:
    """Return the share of positions where two models name the same class, right or wrong.

    ```
    agreement = mean_i [argmax_c a_ic = argmax_c b_ic]
    ```

    Args:
        logits_a: Scores of one model, `(examples, ..., classes)`.
        logits_b: Scores of the other on the same examples, of the same shape.

    Returns:
        A number from 0 to 1.

    Raises:
        ValueError: If the arrays are empty, their shapes differ, or a score is NaN.

    Example:

    >>> import kd_keras
    >>> kd_keras.evaluate.agreement([[2.0, 1.0], [0.0, 3.0]], [[5.0, 0.0], [1.0, 0.0]])
    0.5

    Reference: Stanton et al., "Does Knowledge Distillation Really Work?", NeurIPS 2021,
    arXiv:2106.05945.
    """
    a, b = as_logits(logits_a, "logits_a"), as_logits(logits_b, "logits_b")
    if a.shape != b.shape:
        raise ValueError(
            "`logits_a` and `logits_b` must have the same shape, from the same examples in the "
            f"same order. Received: shapes {np.shape(logits_a)} and {np.shape(logits_b)}"
        )
    return float(np.mean(a.argmax(axis=-1) == b.argmax(axis=-1)))
