"""Temperature-scaled Kullback-Leibler divergence between softened class distributions."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kd_keras.losses.softened import SoftenedLoss


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
