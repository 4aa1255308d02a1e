"""Variational information distillation: how likely the student makes the teacher's features."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from kd_keras.arguments import check_number
from kd_keras.losses.contract.spatial import average_pool_to, smaller_sizes
from kd_keras.losses.contract.trainable import TrainableLoss


def gaussian_surprise(teacher_features: Any, mean: Any, variance: Any) -> Any:
    """Return mean over positions and channels of ((t - mean)^2 / variance + log variance) / 2.

    That is the negative log-likelihood of each example's features, without the constant log 2 pi.

    Args:
        teacher_features: Float tensor `(batch, ..., channels)`.
        mean: Predicted features, the same shape.
        variance: Variances > 0, `(channels,)`.

    Returns:
        Tensor `(batch,)`.
    """
    values = 0.5 * (ops.square(mean - teacher_features) / variance + ops.log(variance))
    return ops.mean(values, axis=tuple(range(1, len(values.shape))))


@keras.saving.register_keras_serializable(package="kd_keras")
class VariationalInformation(TrainableLoss):
    r"""Lower bound on the mutual information of the features of teacher and student (VID).

    ```
    value of an example = mean over positions and channels c of
                          ((teacher_c - M(student)_c)^2 / v_c + log v_c) / 2
    v_c = softplus(r_c) + 1e-5
    ```

    The regressor M (three dense layers on the channels, which on a feature map are 1x1
    convolutions, with ReLU between them) and r train with the student. The value is negative where
    the features are well predicted. Where the sizes differ, the bigger map is averaged to the size
    of the smaller one. Several taps add up.

    The weight published for CIFAR is 1 (RepDistiller).

    Args:
        teacher_layer_name: The layer or layers of the teacher (see `Loss`).
        student_layer_name: The layer or layers of the student, in the same order.
        initial_variance: v at the start, > 1e-5.

    Raises:
        ValueError: If `initial_variance` is out of range, or ranks differ; and under
            `keras.distillation.Distiller`, which would not train the regressor.

    Example:

    >>> import kd_keras, numpy as np
    >>> kd_keras.losses.VariationalInformation("features", "features").initial_variance
    5.0
    >>> one = np.ones(1)  # ((3 - 1)^2 / 1 + log 1) / 2
    >>> kd_keras.losses.gaussian_surprise(np.array([[3.0]]), np.array([[1.0]]), one).numpy()
    array([2.])

    Reference: Ahn et al., "Variational Information Distillation for Knowledge Transfer", CVPR 2019,
    arXiv:1904.05835.
    """

    saved_arguments = ("initial_variance",)

    def __init__(
        self,
        teacher_layer_name: Any = None,
        student_layer_name: Any = None,
        initial_variance: float = 5.0,
    ):
        super().__init__(teacher_layer_name, student_layer_name)
        self.initial_variance = float(
            check_number(
                "initial_variance",
                initial_variance,
                above=Regressor.LEAST,
                remedy="5 is the usual choice.",
            )
        )
        self.regressor = Regressors(self.initial_variance, name="regressors")

    def build_layers(self, teacher_shapes: list[Any], student_shapes: list[Any]) -> None:
        self.regressor.make([shape[-1] for shape in teacher_shapes], student_shapes)

    def per_example(self, teacher_outputs: Any, student_outputs: Any) -> Any:
        """Return one value per example, shape `(batch,)`."""
        total = None
        for index, (teacher, student) in enumerate(self.pairs(teacher_outputs, student_outputs)):
            sizes = smaller_sizes(teacher.shape, student.shape)
            mean, variance = self.regressor.predict(index, average_pool_to(student, sizes))
            values = gaussian_surprise(average_pool_to(teacher, sizes), mean, variance)
            total = values if total is None else total + values
        return total


class Regressors(keras.layers.Layer):
    """One `Regressor` for each pair of features."""

    def __init__(self, initial_variance: float, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.initial_variance = initial_variance
        self.regressors: list[Any] = []

    def make(self, widths: list[int], shapes: list[Any]) -> None:
        """Make and build a regressor to each width from features of each shape."""
        for index, (width, shape) in enumerate(zip(widths, shapes, strict=True)):
            regressor = Regressor(width, self.initial_variance, name=f"regressor_{index}")
            regressor.build(shape)
            self.regressors.append(regressor)
        self.built = True

    def predict(self, index: int, features: Any) -> tuple[Any, Any]:
        """Return (mean, variance) for the features of one pair."""
        return self.regressors[index](features)


class Regressor(keras.layers.Layer):
    """Three dense layers on the channels, and one variance for each channel.

    Args:
        channels: Channels of the features that are predicted.
        initial_variance: The variance of each at the start.
    """

    # Added to the variance, which must not reach 0.
    LEAST = 1e-5

    def __init__(self, channels: int, initial_variance: float, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.channels = channels
        # softplus(r) = v - LEAST, written so that it does not overflow for a large v.
        wanted = initial_variance - self.LEAST
        self.initial = wanted + math.log(-math.expm1(-wanted))
        self.stack = [
            keras.layers.Dense(
                channels, activation=activation, use_bias=False, dtype="float32", name=f"dense_{i}"
            )
            for i, activation in enumerate(("relu", "relu", None))
        ]

    def build(self, shape: Any) -> None:
        for layer in self.stack:
            layer.build(shape)
            shape = (*shape[:-1], self.channels)
        self.raw_variance = self.add_weight(
            name="raw_variance",
            shape=(self.channels,),
            initializer=keras.initializers.Constant(self.initial),
        )
        self.built = True

    def call(self, features: Any) -> tuple[Any, Any]:
        for layer in self.stack:
            features = layer(features)
        variance = ops.softplus(ops.convert_to_tensor(self.raw_variance)) + self.LEAST
        return features, variance
