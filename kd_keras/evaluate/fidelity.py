"""Fidelity: how close a student is to its teacher, right or wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

from kd_keras.evaluate.arrays import as_logits, log_softmax, refuse_probabilities


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
    a, b = _pair(logits_a, logits_b, ("logits_a", "logits_b"))
    return float(np.mean(a.argmax(axis=-1) == b.argmax(axis=-1)))


def kl_to_teacher(teacher_logits: Any, student_logits: Any) -> float:
    """Return the mean divergence of the student's distribution from the teacher's, in nats.

    ```
    KL = mean_i sum_c p_ic * (log p_ic - log q_ic),  p = softmax(teacher), q = softmax(student)
    ```

    Args:
        teacher_logits: Logits `(examples, ..., classes)`; one column is the logit of a binary
            class.
        student_logits: The same of the student, on the same examples.

    Returns:
        A number >= 0; 0 where both give the same probabilities.

    Raises:
        ValueError: As `agreement`, and if the rows are probabilities already.

    Example:

    >>> import kd_keras
    >>> round(kd_keras.evaluate.kl_to_teacher([[100.0, 0.0]], [[0.0, 0.0]]), 4)  # log 2
    0.6931

    Reference: Stanton et al., "Does Knowledge Distillation Really Work?", NeurIPS 2021,
    arXiv:2106.05945.
    """
    names = ("teacher_logits", "student_logits")
    teacher, student = _pair(teacher_logits, student_logits, names)
    for logits, name in zip((teacher, student), names, strict=True):
        refuse_probabilities(logits, name)
    log_p, log_q = log_softmax(teacher), log_softmax(student)
    p = np.exp(log_p)
    # A class that the teacher gives no probability at all (a logit of -inf) adds nothing.
    gain = np.subtract(log_p, log_q, out=np.zeros_like(p), where=p > 0)
    return float(np.mean(np.sum(p * gain, axis=-1)))


def _pair(first: Any, second: Any, names: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    a, b = as_logits(first, names[0]), as_logits(second, names[1])
    if a.shape != b.shape:
        raise ValueError(
            f"`{names[0]}` and `{names[1]}` must have the same shape, from the same examples in "
            f"the same order. Received: shapes {np.shape(first)} and {np.shape(second)}"
        )
    return a, b
