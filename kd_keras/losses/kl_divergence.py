"""Temperature-scaled Kullback-Leibler divergence between softened distributions."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kd_keras.losses.contract.softened import SoftenedLoss


def kl_divergence(teacher_logits: Any, student_logits: Any, temperature: float) -> Any:
    r"""Return T^2 * KL(softmax(t / T) || softmax(s / T)) of each position.

    Args:
        teacher_logits: Float tensor `(..., classes)`.
        student_logits: Float tensor of the same shape.
        temperature: T > 0.

    Returns:
        Tensor of shape `logits.shape[:-1]`, values >= 0, 0 where the softened distributions agree.
    """
    teacher_log = ops.log_softmax(teacher_logits / temperature, axis=-1)
    student_log = ops.log_softmax(student_logits / temperature, axis=-1)
    teacher = ops.exp(teacher_log)
    # 0 * log 0 is 0: a class that both mask with -inf counts nothing. Both logarithms are replaced
    # before the subtraction, as the gradient of -inf - -inf would stay NaN behind a `where`.
    impossible = ops.equal(teacher, 0.0)
    teacher_log = ops.where(impossible, 0.0, teacher_log)
    student_log = ops.where(impossible, 0.0, student_log)
    divergence = ops.sum(teacher * (teacher_log - student_log), axis=-1)
    return divergence * temperature**2


@keras.saving.register_keras_serializable(package="kd_keras")
class KLDivergence(SoftenedLoss):
    r"""KL divergence between the softened outputs of teacher and student, scaled by T^2.

    ```
    p = softmax(teacher_logits / T),  q = softmax(student_logits / T)
    loss = T^2 * sum_c p_c * (log p_c - log q_c)
    ```

    The factor T^2 keeps the gradient with respect to the logits of the same order whatever the
    temperature, so that a weight chosen at one T still fits at another. One output unit is read as
    the logit of a binary class.

    Args:
        temperature: T, from 0.001 to 1000; larger values soften both distributions. 1 is the
            plain KL divergence.
            A number, or a schedule: a `keras.optimizers.schedules.LearningRateSchedule`.
        teacher_layer_name: Where the teacher's logits are, if not its output (see `Loss`).
        student_layer_name: Where the student's logits are, if not its output.

    Raises:
        ValueError: If `temperature` is neither such a number nor a schedule.

    Example:

    >>> import kd_keras, numpy as np
    >>> loss = kd_keras.losses.KLDivergence(temperature=4.0)
    >>> float(loss.compute_loss(np.array([[1.0, 2.0]]), np.array([[1.0, 2.0]])))
    0.0

    Reference: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015,
    arXiv:1503.02531.
    """

    def softened_values(self, teacher_logits: Any, student_logits: Any) -> Any:
        return kl_divergence(teacher_logits, student_logits, self.temperature)


def binary_kl_divergence(teacher_logits: Any, student_logits: Any, temperature: float) -> Any:
    r"""Return T^2 * sum_c KL(Bernoulli(sigmoid(t_c / T)) || Bernoulli(sigmoid(s_c / T))).

    Args:
        teacher_logits: Float tensor `(..., labels)`.
        student_logits: Float tensor of the same shape.
        temperature: T > 0.

    Returns:
        Tensor of shape `logits.shape[:-1]`, values >= 0.
    """
    teacher, student = (
        ops.stack([logits, ops.zeros_like(logits)], axis=-1)
        for logits in (teacher_logits, student_logits)
    )
    return ops.sum(kl_divergence(teacher, student, temperature), axis=-1)


@keras.saving.register_keras_serializable(package="kd_keras")
class BinaryKLDivergence(SoftenedLoss):
    r"""KL divergence of independent labels: each output unit is a yes or no of its own.

    ```
    p = sigmoid(teacher_logits / T),  q = sigmoid(student_logits / T)
    loss = T^2 * sum_c p_c log(p_c / q_c) + (1 - p_c) log((1 - p_c) / (1 - q_c))
    ```

    For multi-label classification, where a softmax over the labels would compare what does not
    compete: it is 0 for logits that differ by a constant, however far apart the labels are.

    Args:
        temperature: T > 0, a number or a `keras.optimizers.schedules.LearningRateSchedule`.
        teacher_layer_name: Where the teacher's logits are, if not its output (see `Loss`).
        student_layer_name: Where the student's logits are, if not its output.

    Raises:
        ValueError: If `temperature` is neither a positive finite number nor a schedule.

    Example:

    >>> import kd_keras, numpy as np
    >>> loss = kd_keras.losses.BinaryKLDivergence(temperature=1.0)
    >>> value = loss.compute_loss(np.array([[3.0, 3.0, 3.0]]), np.array([[-3.0, -3.0, -3.0]]))
    >>> round(float(value), 3)  # 3 labels * 3 * (2 sigmoid(3) - 1)
    8.146

    Reference: Yang et al., "Multi-Label Knowledge Distillation", ICCV 2023, arXiv:2308.06453 (its
    one-versus-all reduction).
    """

    shift_invariant = False
    suits_independent_labels = True

    def values(self, teacher_logits: Any, student_logits: Any) -> Any:
        return binary_kl_divergence(teacher_logits, student_logits, self.temperature)
