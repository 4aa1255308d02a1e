"""Attention transfer: where in the image the features are strong."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kd_keras.arguments import check_number
from kd_keras.losses.contract.feature import FeatureMapLoss
from kd_keras.losses.contract.vectors import l2_normalize


def attention_transfer(
    teacher_maps: Any, student_maps: Any, power: Any = 2.0, valid: Any = None
) -> Any:
    r"""Return mean_x (A(t)_x - A(s)_x)^2 of each example, A the unit vector of mean_c |F_xc|^p.

    Args:
        teacher_maps: Float tensor `(batch, positions, channels)`.
        student_maps: Float tensor `(batch, positions, other channels)`.
        power: p >= 1; the larger, the more the strongest features count.
        valid: Booleans `(batch, positions)`: the positions of which the mean is taken, all others
            holding zeros. `None` for all.

    Returns:
        Tensor `(batch,)`, values in `[0, 2 / positions]`.
    """
    squared = ops.square(_attention(teacher_maps, power) - _attention(student_maps, power))
    if valid is None:
        return ops.mean(squared, axis=-1)
    number = ops.sum(ops.cast(valid, squared.dtype), axis=-1)
    return ops.divide_no_nan(ops.sum(squared, axis=-1), number)


def _attention(maps: Any, power: Any) -> Any:
    return l2_normalize(ops.mean(ops.power(ops.abs(maps), power), axis=-1))


@keras.saving.register_keras_serializable(package="kd_keras")
class AttentionTransfer(FeatureMapLoss):
    r"""Mean squared difference of the normalised attention maps of teacher and student.

    ```
    a_x = mean_c |F_xc|^p,  A = a / ||a||      over the positions x of an example
    loss = mean_x (A(teacher)_x - A(student)_x)^2
    ```

    The maps need not have the same number of channels, nor the same height and width: the larger is
    average-pooled to the smaller before the attention is taken. Attention is invariant to the scale
    of the features. Positions that the student's Keras mask leaves out count nothing.

    Published weight (RepDistiller): 1000 for each tapped stage (the outputs of the stages of a
    ResNet), beside a student loss of weight 1 (`combine="sum"`); make one loss for each stage.

    Args:
        power: p, a finite number >= 1.
        teacher_layer_name: Layer of the teacher, or key of its dict output, that gives the maps.
        student_layer_name: The same for the student.

    Raises:
        ValueError: If `power` is out of range, or if the features have no positions.

    Example:

    >>> import kd_keras, numpy as np
    >>> loss = kd_keras.losses.AttentionTransfer(
    ...     power=2, teacher_layer_name="conv", student_layer_name="conv"
    ... )
    >>> teacher = np.array([[[2.0], [0.0]]])  # two positions, one channel; A = [1, 0]
    >>> student = np.array([[[0.0, 0.0], [1.0, 7.0]]])  # two channels; A = [0, 1]
    >>> float(loss.compute_loss(teacher, student))  # (1 + 1) / 2
    1.0

    Reference: Zagoruyko, Komodakis, "Paying More Attention to Attention", ICLR 2017,
    arXiv:1612.03928.
    """

    saved_arguments = ("power",)

    def __init__(
        self,
        power: float = 2.0,
        teacher_layer_name: str | None = None,
        student_layer_name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name)
        remedy = "2 is the published choice."
        self.power = float(check_number("power", power, low=1, remedy=remedy))

    def map_values(self, teacher_maps: Any, student_maps: Any, valid: Any) -> Any:
        return attention_transfer(teacher_maps, student_maps, self.power, valid)
