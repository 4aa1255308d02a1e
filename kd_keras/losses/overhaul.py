"""Overhaul of feature distillation: margins below zero, and no pull where both are negative."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from kd_keras.arguments import check_number
from kd_keras.losses.contract.spatial import average_pool_to
from kd_keras.losses.contract.tap_forms import check_form, names_in_config, resolve
from kd_keras.losses.contract.trainable import TrainableLoss

# Below this share of negative values the expectation over them is numerically lost.
_LEAST_SHARE = 0.001


def batch_norm_margin(gamma: Any, beta: Any) -> Any:
    """Return the mean of the negative part of a normal variable for each channel.

    ```
    margin = beta - s * pdf(beta / s) / cdf(-beta / s),   s = |gamma|
    ```

    That is E[x | x < 0] for x ~ N(beta, s^2), what a batch normalisation puts out. Where less than
    0.1% of x is negative, the margin is -3 s, as in the reference.

    Args:
        gamma: Scales of a batch normalisation, `(channels,)`.
        beta: Its offsets, `(channels,)`.

    Returns:
        Tensor `(channels,)`, values < 0 (0 where gamma is 0 and beta is not negative).
    """
    scale = ops.maximum(ops.abs(gamma), 1e-12)
    ratio = beta / scale
    share = 0.5 * ops.erfc(ratio / math.sqrt(2.0))
    density = ops.exp(-0.5 * ops.square(ratio)) / math.sqrt(2.0 * math.pi)
    usual = ops.greater(share, _LEAST_SHARE)
    expected = beta - scale * density / ops.where(usual, share, 1.0)
    return ops.where(usual, expected, -3.0 * ops.abs(gamma))


def partial_l2(teacher_features: Any, student_features: Any, margin: Any) -> Any:
    """Return the partial squared distance of each example's features, summed.

    ```
    value = sum (max(t, m) - s)^2   over all places but those with s <= max(t, m) <= 0
    ```

    A negative feature, which a ReLU would make 0, asks only that the student's be negative too: it
    pulls down a student that lies above it (not further than the margin m), and never up.

    Args:
        teacher_features: Float tensor `(batch, ..., channels)`, before the ReLU.
        student_features: The same shape.
        margin: m <= 0, `(channels,)` or a scalar.

    Returns:
        Tensor `(batch,)`, values >= 0.
    """
    target = ops.maximum(teacher_features, margin)
    counts = ops.logical_or(ops.greater(target, 0.0), ops.greater(student_features, target))
    squares = ops.square(ops.where(counts, student_features - target, 0.0))
    return ops.sum(squares, axis=tuple(range(1, len(squares.shape))))


@keras.saving.register_keras_serializable(package="kd_keras")
class OverhaulFeature(TrainableLoss):
    r"""Partial squared distance to the teacher's features before the ReLU, with margins (OFD).

    ```
    value of an example = sum over taps i = 1..n of partial_l2(t_i, C_i(s_i), m_i) / 2^(n - i)
    ```

    The connector C_i is a 1x1 convolution with batch normalisation; it trains with the student. The
    margin m_i is the mean of the negative part of each of the teacher's channels, from the scale
    and offset of its batch normalisation (see `batch_norm_margin`). The teacher's map is averaged
    to the size of the student's.

    The value is a sum over positions and channels, so the weight is small: 0.001 is the one
    published for CIFAR-100 (mdistiller). Tap both networks before the ReLU.

    Args:
        teacher_layer_name: The layer or layers of the teacher, from the first to the deepest: the
            batch normalisations before the ReLU.
        student_layer_name: The layer or layers of the student, in the same order.
        normalization_layer_name: The teacher's batch normalisations, where they are not the tapped
            layers themselves (behind an addition, say), in any form of a tap, one for each tap.
        margin: One margin <= 0 for all channels, instead of the teacher's statistics.

    Raises:
        ValueError: If `margin` is positive, or there is neither a margin nor a batch normalisation;
            and under `keras.distillation.Distiller`, which would not train the connectors.

    Example:

    >>> import kd_keras, numpy as np
    >>> teacher, student = np.array([[2.0, -3.0, -3.0]]), np.array([[1.0, 1.0, -2.0]])
    >>> # (2 - 1)^2 + (1 - -1)^2 + 0: the third student is below the margin
    >>> kd_keras.losses.partial_l2(teacher, student, -1.0).numpy().tolist()
    [5.0]
    >>> kd_keras.losses.OverhaulFeature("norm", "norm").margin is None
    True

    Reference: Heo et al., "A Comprehensive Overhaul of Feature Distillation", ICCV 2019,
    arXiv:1904.01866.
    """

    saved_arguments = ("margin",)

    def __init__(
        self,
        teacher_layer_name: Any = None,
        student_layer_name: Any = None,
        normalization_layer_name: Any = None,
        margin: float | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name)
        if margin is not None:
            remedy = "None takes margins from the teacher's batch normalisations."
            margin = float(check_number("margin", margin, high=0, remedy=remedy))
        self.margin = margin
        self.normalization_layer_name = check_form(
            normalization_layer_name, "normalization_layer_name"
        )
        self.connectors = Connectors(name="connectors")
        self._norms: Any = None

    def attach(self, teacher: Any, student: Any) -> None:
        """Find the teacher's batch normalisations, and the taps."""
        super().attach(teacher, student)
        self.normalization_layer_name = resolve(self.normalization_layer_name, teacher, "teacher")
        if self.margin is not None:
            return
        names = self.normalization_layer_name or self.teacher_layer_name
        names = names if isinstance(names, tuple) else (names,)
        self._norms = _Norms([_normalization(teacher, name) for name in names])

    def build_layers(self, teacher_shapes: list[Any], student_shapes: list[Any]) -> None:
        if self.margin is None and self._norms is None:
            raise ValueError(
                "OverhaulFeature takes its margins from the teacher, which it has not seen. "
                "Received: margin=None and no teacher. Pass the loss to kd_keras.Distiller, call "
                "`attach(teacher, student)` first, or pass `margin`."
            )
        if self.margin is None and len(self._norms.layers) != len(teacher_shapes):
            raise ValueError(
                "`normalization_layer_name` must name one batch normalisation for each tap. "
                f"Received: {len(self._norms.layers)} for {len(teacher_shapes)} taps."
            )
        self.connectors.make([shape[-1] for shape in teacher_shapes], student_shapes)

    def per_example(
        self, teacher_outputs: Any, student_outputs: Any, training: bool = False
    ) -> Any:
        """Return one value per example, shape `(batch,)`.

        Args:
            teacher_outputs: The teacher's features, or a list.
            student_outputs: The student's features, or a list.
            training: Whether the connectors' batch normalisations use the batch.
        """
        pairs = self.pairs(teacher_outputs, student_outputs)
        total = None
        for index, (teacher, student) in enumerate(pairs):
            student = self.connectors.connect(index, student, training)
            teacher = average_pool_to(teacher, student.shape[1:-1])
            margin = self.margin if self.margin is not None else self._norms.margin(index)
            values = partial_l2(teacher, student, margin) / 2.0 ** (len(pairs) - index - 1)
            total = values if total is None else total + values
        return total

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "normalization_layer_name": names_in_config(
                self.normalization_layer_name, "normalization_layer_name"
            ),
        }


class _Norms:
    """The teacher's batch normalisations, out of sight of what looks for the loss's own layers."""

    def __init__(self, layers: list[Any]):
        self.layers = layers

    def margin(self, index: int) -> Any:
        # Read in the step: at construction the teacher may not have its trained weights yet.
        layer = self.layers[index]
        width = layer.moving_mean.shape
        gamma = ops.ones(width) if layer.gamma is None else ops.cast(layer.gamma, "float32")
        beta = ops.zeros(width) if layer.beta is None else ops.cast(layer.beta, "float32")
        return ops.stop_gradient(batch_norm_margin(gamma, beta))


class Connectors(keras.layers.Layer):
    """A 1x1 convolution, as a dense layer on the channels, and a batch normalisation for each tap.

    They start as in the reference: normal with variance 2 / channels.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.dense: list[Any] = []
        self.norms: list[Any] = []

    def make(self, widths: list[int], shapes: list[Any]) -> None:
        """Make and build a connector to each width from features of each shape."""
        for index, (width, shape) in enumerate(zip(widths, shapes, strict=True)):
            start = keras.initializers.RandomNormal(0.0, math.sqrt(2.0 / width))
            dense = keras.layers.Dense(
                width,
                use_bias=False,
                kernel_initializer=start,
                dtype="float32",
                name=f"dense_{index}",
            )
            norm = keras.layers.BatchNormalization(
                momentum=0.9, epsilon=1e-5, dtype="float32", name=f"norm_{index}"
            )
            dense.build(shape)
            norm.build((*shape[:-1], width))
            self.dense.append(dense)
            self.norms.append(norm)
        self.built = True

    def connect(self, index: int, features: Any, training: bool) -> Any:
        """Return the features of one tap in the teacher's channels."""
        return self.norms[index](self.dense[index](features), training=training)


def _normalization(teacher: Any, name: str | None) -> Any:
    layer = teacher
    for part in (name or "").split("/"):
        layer = next((one for one in getattr(layer, "layers", []) if one.name == part), None)
    if not isinstance(layer, keras.layers.BatchNormalization):
        kind = "no layer" if layer is None else f"a {type(layer).__name__}"
        raise ValueError(
            f"OverhaulFeature takes its margins from a batch normalisation, but {name!r} of the "
            f"teacher {teacher.name!r} is {kind}. Tap the batch normalisation before the ReLU, name"
            " it in `normalization_layer_name`, or pass `margin`."
        )
    return layer
