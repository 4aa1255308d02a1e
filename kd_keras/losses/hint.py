"""Hints: the student's features, through an adapter, regress the teacher's."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kd_keras.losses.contract.adapted import AdaptedLoss
from kd_keras.losses.contract.spatial import same_size


def feature_mse(teacher_features: Any, student_features: Any) -> Any:
    """Return the mean squared difference of each example's features.

    Args:
        teacher_features: Float tensor `(batch, ..., channels)`.
        student_features: Float tensor with as many channels; where positions differ in number, the
            bigger map is averaged to the size of the smaller one.

    Returns:
        Tensor `(batch,)`, values >= 0.
    """
    teacher, student = same_size(teacher_features, student_features)
    return ops.mean(ops.square(teacher - student), axis=tuple(range(1, len(teacher.shape))))


@keras.saving.register_keras_serializable(package="kd_keras")
class Hint(AdaptedLoss):
    r"""Mean squared difference between the teacher's features and the adapted student's (FitNets).

    ```
    value of an example = mean over positions and channels of (teacher - A(student))^2
    ```

    A is a dense layer on the channels, which on a feature map is a 1x1 convolution. It is made
    where the numbers of channels differ, trains with the student, and never leaves with it. Where
    the sizes differ, the bigger map is averaged to the size of the smaller one. Several taps add
    up, each with an adapter of its own.

    The weight published for CIFAR is 100 (RepDistiller, whose regressor is a convolution with batch
    normalisation and ReLU). With the linear adapter here and SGD at a learning rate of 0.1 that
    diverged on CIFAR-10, and 1 did not.

    Args:
        teacher_layer_name: The layer or layers of the teacher (see `Loss`).
        student_layer_name: The layer or layers of the student, in the same order.
        adapter: `None` for an adapter where the channels differ, `True` for one in any case,
            `False` for none.

    Raises:
        ValueError: If `adapter` is something else; if ranks differ, or channels without an adapter;
            or if an adapter is needed under `keras.distillation.Distiller`, which would not train
            it.

    Example:

    >>> import kd_keras, numpy as np
    >>> hint = kd_keras.losses.Hint("features", "features")
    >>> float(hint.compute_loss(np.array([[1.0, 2.0]]), np.array([[3.0, 2.0]])))  # (4 + 0) / 2
    2.0

    Reference: Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015, arXiv:1412.6550.
    """

    def per_example(self, teacher_outputs: Any, student_outputs: Any) -> Any:
        """Return one value per example, shape `(batch,)`."""
        pairs = self.adapted_pairs(teacher_outputs, student_outputs)
        return sum(feature_mse(teacher, student) for teacher, student in pairs)
