"""Mean squared difference of logits, or of the softened probabilities."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kd_keras.losses.contract.base import LogitLoss
from kd_keras.losses.contract.softened import SoftenedLoss


def logits_mse(teacher_logits: Any, student_logits: Any) -> Any:
    """Return mean_c (t_c - s_c)^2 of each position, shape `logits.shape[:-1]`."""
    return ops.mean(ops.square(teacher_logits - student_logits), axis=-1)


def probability_mse(teacher_logits: Any, student_logits: Any, temperature: float) -> Any:
    """Return mean_c (softmax(t / T)_c - softmax(s / T)_c)^2 of each position.

    Args:
        teacher_logits: Float tensor `(..., classes)`.
        student_logits: Float tensor of the same shape.
        temperature: T > 0.

    Returns:
        Tensor of shape `logits.shape[:-1]`, values in [0, 2 / classes].
    """
    teacher = ops.softmax(teacher_logits / temperature, axis=-1)
    student = ops.softmax(student_logits / temperature, axis=-1)
    return ops.mean(ops.square(teacher - student), axis=-1)


@keras.saving.register_keras_serializable(package="kd_keras")
class LogitsMSE(LogitLoss):
    r"""Mean squared difference between the logits of teacher and student.

    ```
    loss = mean_c (teacher_logits_c - student_logits_c)^2
    ```

    The limit of `KLDivergence(T)` for large T is this loss on zero-mean logits, up to a factor
    (1/2 here, as the KL sums and this loss averages over classes: T^2 KL -> LogitsMSE / 2).

    Args:
        teacher_layer_name: Where the teacher's logits are, if not its output (see `Loss`).
        student_layer_name: Where the student's logits are, if not its output.

    Example:

    >>> import kd_keras, numpy as np
    >>> loss = kd_keras.losses.LogitsMSE()
    >>> float(loss.compute_loss(np.array([[1.0, 3.0]]), np.array([[0.0, 1.0]])))  # (1 + 4) / 2
    2.5

    Reference: Ba, Caruana, "Do Deep Nets Really Need to be Deep?", NeurIPS 2014, arXiv:1312.6184.
    """

    suits_independent_labels = True

    def values(self, teacher_logits: Any, student_logits: Any) -> Any:
        return logits_mse(teacher_logits, student_logits)


@keras.saving.register_keras_serializable(package="kd_keras")
class ProbabilityMSE(SoftenedLoss):
    r"""Mean squared difference between the soft labels of teacher and student.

    ```
    over_classes="mean":  mean_c (softmax(teacher_logits / T)_c - softmax(student_logits / T)_c)^2
    over_classes="sum":   sum_c  (softmax(teacher_logits / T)_c - softmax(student_logits / T)_c)^2
    ```

    The classic formula of the literature, CE + lambda * (1/N) sum over examples and classes of
    (t - s)^2, is `combine="sum"` with weight lambda and `over_classes="sum"`; the mean is 1/C of
    it. There is no factor T^2. One output unit is read as the logit of a binary class.

    Args:
        temperature: T, from 0.001 to 1000, or a
            `keras.optimizers.schedules.LearningRateSchedule`.
        over_classes: "mean" or "sum": what is taken over the classes of a position.
        teacher_layer_name: Where the teacher's logits are, if not its output (see `Loss`).
        student_layer_name: Where the student's logits are, if not its output.

    Raises:
        ValueError: If `temperature` is neither such a number nor a schedule, or `over_classes` is
            something else.

    Example:

    >>> import kd_keras, numpy as np
    >>> loss = kd_keras.losses.ProbabilityMSE(temperature=1.0)
    >>> value = loss.compute_loss(np.array([[100.0, 0.0]]), np.array([[0.0, 0.0]]))
    >>> round(float(value), 4)  # (0.5^2 + 0.5^2) / 2
    0.25

    Reference: Kim et al., "Comparing Kullback-Leibler Divergence and Mean Squared Error Loss in
    Knowledge Distillation", IJCAI 2021, arXiv:2105.08919 (which compares the two families).
    """

    saved_arguments = ("over_classes",)

    def __init__(
        self,
        temperature: Any = 1.0,
        teacher_layer_name: str | None = None,
        student_layer_name: str | None = None,
        over_classes: str = "mean",
    ):
        super().__init__(temperature, teacher_layer_name, student_layer_name)
        if over_classes not in ("mean", "sum"):
            raise ValueError(
                "`over_classes` must be 'mean' or 'sum' (the classic formula). Received: "
                f"over_classes={over_classes!r}."
            )
        self.over_classes = over_classes

    def softened_values(self, teacher_logits: Any, student_logits: Any) -> Any:
        values = probability_mse(teacher_logits, student_logits, self.temperature)
        return values if self.over_classes == "mean" else values * teacher_logits.shape[-1]
