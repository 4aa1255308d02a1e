"""Cross-entropy of the student's softened distribution under the teacher's."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kd_keras.losses.contract.softened import SoftenedLoss


def soft_crossentropy(teacher_logits: Any, student_logits: Any, temperature: float) -> Any:
    r"""Return -T^2 * sum_c softmax(t / T)_c * log softmax(s / T)_c of each position.

    Args:
        teacher_logits: Float tensor `(..., classes)`.
        student_logits: Float tensor of the same shape.
        temperature: T > 0.

    Returns:
        Tensor of shape `logits.shape[:-1]`.
    """
    teacher = ops.softmax(teacher_logits / temperature, axis=-1)
    student_log = ops.log_softmax(student_logits / temperature, axis=-1)
    # 0 * log 0 is 0: a class that both mask with -inf counts nothing.
    student_log = ops.where(ops.equal(teacher, 0.0), 0.0, student_log)
    return -ops.sum(teacher * student_log, axis=-1) * temperature**2


@keras.saving.register_keras_serializable(package="kd_keras")
class SoftCrossentropy(SoftenedLoss):
    r"""Cross-entropy with the teacher's softened output as the label, scaled by T^2.

    ```
    loss = -T^2 * sum_c softmax(teacher_logits / T)_c * log softmax(student_logits / T)_c
    ```

    It equals `KLDivergence(T)` plus T^2 times the entropy of the teacher's softened output, which
    does not depend on the student: the gradients are the same, the value does not reach 0.

    Args:
        temperature: T, from 0.001 to 1000, or a
            `keras.optimizers.schedules.LearningRateSchedule`.
        teacher_layer_name: Where the teacher's logits are, if not its output (see `Loss`).
        student_layer_name: Where the student's logits are, if not its output.

    Raises:
        ValueError: If `temperature` is neither such a number nor a schedule.

    Example:

    >>> import kd_keras, numpy as np
    >>> loss = kd_keras.losses.SoftCrossentropy(temperature=1.0)
    >>> round(float(loss.compute_loss(np.array([[0.0, 0.0]]), np.array([[0.0, 0.0]]))), 4)  # log 2
    0.6931

    Reference: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015,
    arXiv:1503.02531.
    """

    def softened_values(self, teacher_logits: Any, student_logits: Any) -> Any:
        return soft_crossentropy(teacher_logits, student_logits, self.temperature)
