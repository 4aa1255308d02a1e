"""Neuron selectivity transfer: the same patterns of positions that channels respond to."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kd_keras.losses.contract.feature import FeatureMapLoss
from kd_keras.losses.contract.vectors import l2_normalize


def neuron_selectivity(teacher_maps: Any, student_maps: Any) -> Any:
    r"""Return the squared MMD between the channels of each example, kernel k(a, b) = (a . b)^2.

    Args:
        teacher_maps: Float tensor `(batch, positions, channels)`. A channel is its unit vector over
            the positions.
        student_maps: Float tensor `(batch, positions, other channels)`.

    Returns:
        Tensor `(batch,)`, values in `[0, 2]`.
    """
    teacher, student = l2_normalize(teacher_maps, axis=1), l2_normalize(student_maps, axis=1)
    positions = teacher.shape[1]
    widths = teacher.shape[-1], student.shape[-1]
    pairs_of_channels = widths[0] ** 2 + widths[1] ** 2 + widths[0] * widths[1]
    if positions is not None and 2 * positions**2 < pairs_of_channels:
        return _by_positions(teacher, student)
    return _by_channels(teacher, student)


def _by_channels(teacher: Any, student: Any) -> Any:
    """Return mean k(t, t') + mean k(s, s') - 2 mean k(t, s) over all pairs of channels."""
    return (
        _mean_kernel(teacher, teacher)
        + _mean_kernel(student, student)
        - 2.0 * _mean_kernel(teacher, student)
    )


def _by_positions(teacher: Any, student: Any) -> Any:
    """Return ||mean_t t t^T - mean_s s s^T||^2, the same number as (a . b)^2 = <a a^T, b b^T>.

    It needs memory for pairs of positions instead of pairs of channels.
    """
    difference = _mean_outer_product(teacher) - _mean_outer_product(student)
    return ops.sum(ops.square(difference), axis=(1, 2))


def _mean_kernel(first: Any, second: Any) -> Any:
    products = ops.matmul(ops.transpose(first, (0, 2, 1)), second)
    return ops.mean(ops.square(products), axis=(1, 2))


def _mean_outer_product(channels: Any) -> Any:
    return ops.matmul(channels, ops.transpose(channels, (0, 2, 1))) / channels.shape[-1]


@keras.saving.register_keras_serializable(package="kd_keras")
class NeuronSelectivity(FeatureMapLoss):
    r"""Squared maximum mean discrepancy between the channels of teacher and student.

    ```
    t_c, s_d = a channel of teacher, student: its values at all positions, as a unit vector
    k(a, b) = (a . b)^2
    loss = mean_cc' k(t_c, t_c') + mean_dd' k(s_d, s_d') - 2 mean_cd k(t_c, s_d)
    ```

    A channel is described by where it responds; the student is to have the same distribution of
    such patterns, in any order and number. The larger map is average-pooled to the smaller first.
    The loss is invariant to the scale of each channel. Positions that the student's Keras mask
    leaves out count nothing.

    Published weight (RepDistiller): 50 for each tapped stage, beside a student loss of weight 1
    (`combine="sum"`); make one loss for each stage.

    Args:
        teacher_layer_name: Layer of the teacher, or key of its dict output, that gives the maps.
        student_layer_name: The same for the student.

    Raises:
        ValueError: If the features have no positions.

    Example:

    >>> import kd_keras, numpy as np
    >>> loss = kd_keras.losses.NeuronSelectivity("conv", "conv")
    >>> teacher = np.array([[[3.0], [0.0]]])  # two positions, one channel: the pattern [1, 0]
    >>> student = np.array([[[1.0], [1.0]]])  # the pattern [1, 1] / sqrt(2)
    >>> round(float(loss.compute_loss(teacher, student)), 4)  # 1 + 1 - 2 * (1 / 2)
    1.0

    Reference: Huang, Wang, "Like What You Like: Knowledge Distill via Neuron Selectivity Transfer",
    2017, arXiv:1707.01219.
    """

    def map_values(self, teacher_maps: Any, student_maps: Any, valid: Any) -> Any:
        # Masked positions are zeros, which add nothing to the products and norms of channels.
        return neuron_selectivity(teacher_maps, student_maps)
