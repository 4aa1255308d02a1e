"""Decoupled knowledge distillation: target class and non-target classes taught apart."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kd_keras.losses.contract.schedules import checked_weight
from kd_keras.losses.contract.softened import SoftenedLoss
from kd_keras.losses.contract.target_classes import labels_per_output, target_classes
from kd_keras.losses.kl_divergence import kl_divergence

# In the place of a logit that is left out; finite, as all that are left may be -inf.
_LEFT_OUT = -1e9


def decoupled_kd(
    teacher_logits: Any, student_logits: Any, targets: Any, temperature: Any, alpha: Any, beta: Any
) -> Any:
    r"""Return T^2 * (alpha * TCKD + beta * NCKD) of each position.

    Args:
        teacher_logits: Float tensor `(..., classes)` with two classes or more.
        student_logits: Float tensor of the same shape.
        targets: Integer tensor `(...)`, the target class of each position, 0 to classes - 1. A
            position whose target is no class (one that is ignored) has the value 0.
        temperature: T > 0.
        alpha: Weight >= 0 of the target-class term.
        beta: Weight >= 0 of the non-target-class term.

    Returns:
        Tensor of shape `logits.shape[:-1]`, values >= 0.
    """
    classes = teacher_logits.shape[-1]
    is_target = ops.cast(ops.one_hot(targets, classes, dtype="int32"), "bool")
    teacher, student = teacher_logits / temperature, student_logits / temperature
    target_term = kl_divergence(
        _target_or_not(teacher, is_target), _target_or_not(student, is_target), 1.0
    )
    other_term = kl_divergence(_others(teacher, is_target), _others(student, is_target), 1.0)
    values = (alpha * target_term + beta * other_term) * temperature**2
    return ops.where(ops.any(is_target, axis=-1), values, 0.0)


def _others(logits: Any, is_target: Any) -> Any:
    return ops.where(is_target, _LEFT_OUT, logits)


def _target_or_not(logits: Any, is_target: Any) -> Any:
    """Return two logits, of the target class and of all others together.

    softmax of the two is [p_y, 1 - p_y], without the cancellation of 1 - p_y where p_y is near 1.
    """
    target = ops.sum(ops.where(is_target, logits, 0.0), axis=-1)
    others = ops.logsumexp(_others(logits, is_target), axis=-1)
    return ops.stack([target, others], axis=-1)


@keras.saving.register_keras_serializable(package="kd_keras")
class DecoupledKD(SoftenedLoss):
    r"""KL divergence split into target class against the rest, and the rest among themselves.

    ```
    p = softmax(teacher_logits / T),  q = softmax(student_logits / T),  y = target class
    TCKD = KL([p_y, 1 - p_y] || [q_y, 1 - q_y])
    NCKD = KL(p without y, renormalised || q without y, renormalised)
    loss = T^2 * (alpha * TCKD + beta * NCKD)
    ```

    `KLDivergence(T)` is T^2 * (TCKD + (1 - p_y) * NCKD): a confident teacher all but switches the
    second term off, here it keeps the weight beta. The loss needs the labels `y`, which
    `kd_keras.Distiller` hands over: class ids, or one-hot, soft or mixed labels, whose largest
    entry is the target. A position whose label is no class (`ignore_class`) counts 0.

    Published weights (mdistiller): temperature 4, alpha 1 and beta 8 (ResNet-32x4 to 8x4) or 2
    (ResNet-56 to 20) on CIFAR-100, warmed up linearly over 20 epochs; temperature 1, alpha 1 and
    beta 0.5 on ImageNet; beside a student loss of weight 1 (`combine="sum"`).

    Args:
        temperature: T, from 0.001 to 1000.
        alpha: Weight >= 0 of the target-class term.
        beta: Weight >= 0 of the non-target-class term; with two classes that term is 0.
        teacher_layer_name: Where the teacher's logits are, if not its output (see `Loss`).
        student_layer_name: Where the student's logits are, if not its output. In a dict of labels,
            those of this name are taken.

    Raises:
        ValueError: If an argument is out of range, if there are no labels or none that fit the
            outputs, or if the logits have one unit.

    Example:

    >>> import kd_keras, numpy as np
    >>> loss = kd_keras.losses.DecoupledKD(temperature=1.0, alpha=1.0, beta=8.0)
    >>> teacher = np.log([[0.5, 0.25, 0.25]])  # against [1/3, 1/3, 1/3] and class 0:
    >>> value = loss.compute_loss(teacher, np.zeros((1, 3)), y=np.array([0]))
    >>> round(float(value), 4)  # 0.5 log(0.5 * 3) + 0.5 log(0.5 * 3 / 2) + 8 * 0
    0.0589

    Reference: Zhao et al., "Decoupled Knowledge Distillation", CVPR 2022, arXiv:2203.08679.
    """

    saved_arguments = ("alpha", "beta")

    def __init__(
        self,
        temperature: Any = 4.0,
        alpha: Any = 1.0,
        beta: Any = 8.0,
        teacher_layer_name: str | None = None,
        student_layer_name: str | None = None,
    ):
        super().__init__(temperature, teacher_layer_name, student_layer_name)
        self.alpha = checked_weight("alpha", alpha)
        self.beta = checked_weight("beta", beta)

    def per_example(
        self, teacher_outputs: Any, student_outputs: Any, sample_weight: Any = None, y: Any = None
    ) -> Any:
        """Return one loss value per example.

        Args:
            teacher_outputs: Logits `(batch, ..., classes)`, or a list or dict of such.
            student_outputs: The same structure and shapes.
            sample_weight: As for `LogitLoss`.
            y: Labels: class ids `(batch, ...)`, or one value per class, or the structure of the
                outputs with one such tensor each.

        Returns:
            Float32 tensor `(batch,)`.
        """
        names = (self.student_layer_name, self.teacher_layer_name)
        labels = labels_per_output(y, student_outputs, names, type(self).__name__)
        return self.sum_over_outputs(
            self._values, teacher_outputs, student_outputs, sample_weight, labels
        )

    def validate_outputs(self, teacher_outputs: Any, student_outputs: Any) -> None:
        """Raise `ValueError` when the outputs do not fit together, or have a single unit."""
        super().validate_outputs(teacher_outputs, student_outputs)
        for logits in keras.tree.flatten(student_outputs):
            if logits.shape[-1] == 1:
                raise ValueError(
                    f"{type(self).__name__} needs the logits of two classes or more, as it treats "
                    f"the target class apart from the others. Received: {tuple(logits.shape)}. For "
                    "one binary logit use kd_keras.losses.KLDivergence, which is the same there."
                )

    def _values(self, teacher_logits: Any, student_logits: Any, labels: Any) -> Any:
        targets = target_classes(labels, student_logits)
        return decoupled_kd(
            teacher_logits, student_logits, targets, self.temperature, self.alpha, self.beta
        )
