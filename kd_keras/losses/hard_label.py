"""Cross-entropy with the class that the teacher picks."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kd_keras.arguments import check_number
from kd_keras.losses.contract.base import LogitLoss
from kd_keras.losses.contract.softened import two_classes_if_binary


def hard_label(teacher_logits: Any, student_logits: Any, label_smoothing: Any = 0.0) -> Any:
    r"""Return -sum_c l_c * log softmax(s)_c of each position, l the teacher's (smoothed) class.

    Args:
        teacher_logits: Float tensor `(..., classes)`.
        student_logits: Float tensor of the same shape.
        label_smoothing: Share in `[0, 1)` that is spread evenly over all classes.

    Returns:
        Tensor of shape `logits.shape[:-1]`, values >= 0.
    """
    classes = teacher_logits.shape[-1]
    picked = ops.one_hot(ops.argmax(teacher_logits, axis=-1), classes, dtype=student_logits.dtype)
    labels = picked * (1.0 - label_smoothing) + label_smoothing / classes
    student_log = ops.log_softmax(student_logits, axis=-1)
    # 0 * log 0 is 0: a class that the student masks with -inf counts nothing.
    student_log = ops.where(ops.equal(labels, 0.0), 0.0, student_log)
    return -ops.sum(labels * student_log, axis=-1)


@keras.saving.register_keras_serializable(package="kd_keras")
class HardLabel(LogitLoss):
    r"""Cross-entropy of the student with the teacher's arg-max as the label.

    ```
    k = argmax_c teacher_logits_c,  l_c = (1 - e) * [c = k] + e / classes
    loss = -sum_c l_c * log softmax(student_logits)_c
    ```

    The teacher labels the view that the student sees, which the label of the data set may no longer
    fit. There is no temperature to choose. One output unit is read as the logit of a binary class.

    Published weight (DeiT): half the labels' loss and half this one: `student_loss_weight=0.5` of
    the convex combination, the default of the Distiller.

    Args:
        label_smoothing: e in `[0, 1)`: the share of the label that is spread over all classes.
        teacher_layer_name: Where the teacher's logits are, if not its output (see `Loss`).
        student_layer_name: Where the student's logits are, if not its output.

    Raises:
        ValueError: If `label_smoothing` is not a number in `[0, 1)`.

    Example:

    >>> import kd_keras, numpy as np
    >>> loss = kd_keras.losses.HardLabel()
    >>> value = loss.compute_loss(np.array([[2.0, 1.0]]), np.log([[0.25, 0.75]]))
    >>> round(float(value), 4)  # -log(1/4)
    1.3863

    Reference: Touvron et al., "Training data-efficient image transformers & distillation through
    attention", ICML 2021, arXiv:2012.12877.
    """

    shift_invariant = True
    saved_arguments = ("label_smoothing",)

    def __init__(
        self,
        label_smoothing: float = 0.0,
        teacher_layer_name: str | None = None,
        student_layer_name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name)
        self.label_smoothing = float(
            check_number("label_smoothing", label_smoothing, low=0, below=1, remedy="0.1 is usual.")
        )

    def values(self, teacher_logits: Any, student_logits: Any) -> Any:
        return hard_label(
            two_classes_if_binary(teacher_logits),
            two_classes_if_binary(student_logits),
            self.label_smoothing,
        )
