"""Hints: the student's features, through an adapter, regress the teacher's."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kd_keras.losses.contract.spatial import same_size
from kd_keras.losses.contract.trainable import TrainableLoss


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
class Hint(TrainableLoss):
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

    def __init__(
        self,
        teacher_layer_name: Any = None,
        student_layer_name: Any = None,
        adapter: bool | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name)
        if adapter not in (None, True, False):
            raise ValueError(
                "`adapter` must be None (where the channels differ), True (always) or False "
                f"(never). Received: adapter={adapter!r}."
            )
        self.adapter = adapter
        self.adapters = Adapters(name="hint_adapters")

    @property
    def always_trains(self) -> bool:  # type: ignore[override]
        return self.adapter is True

    def check_shapes(self, teacher_shapes: list[Any], student_shapes: list[Any]) -> None:
        super().check_shapes(teacher_shapes, student_shapes)
        for teacher, student in zip(teacher_shapes, student_shapes, strict=True):
            if self.adapter is False and teacher[-1] != student[-1]:
                raise ValueError(
                    "Hint with adapter=False needs features with as many channels. Received: "
                    f"teacher {teacher}, student {student}. Leave `adapter` out: one is then made."
                )

    def build_layers(self, teacher_shapes: list[Any], student_shapes: list[Any]) -> None:
        widths = [
            teacher[-1] if self._adapts(teacher, student) else None
            for teacher, student in zip(teacher_shapes, student_shapes, strict=True)
        ]
        self.adapters.make(widths, student_shapes)

    def without_layers(self, teacher_shapes: list[Any], student_shapes: list[Any]) -> None:
        pairs = zip(teacher_shapes, student_shapes, strict=True)
        if any(self._adapts(teacher, student) for teacher, student in pairs):
            super().without_layers(teacher_shapes, student_shapes)

    def per_example(self, teacher_outputs: Any, student_outputs: Any) -> Any:
        """Return one value per example, shape `(batch,)`."""
        total = None
        for index, (teacher, student) in enumerate(self.pairs(teacher_outputs, student_outputs)):
            values = feature_mse(teacher, self.adapters.adapt(index, student))
            total = values if total is None else total + values
        return total

    def _adapts(self, teacher_shape: Any, student_shape: Any) -> bool:
        return self.adapter is True or teacher_shape[-1] != student_shape[-1]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "adapter": self.adapter}


class Adapters(keras.layers.Layer):
    """One dense layer on the channels for each pair of features that needs it."""

    def __init__(self, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.layers: list[Any] = []

    def make(self, widths: list[int | None], shapes: list[Any]) -> None:
        """Make and build a layer of each width, none where it is `None`."""
        for index, (width, shape) in enumerate(zip(widths, shapes, strict=True)):
            layer: Any = keras.layers.Identity(dtype="float32", name=f"adapter_{index}")
            if width is not None:
                layer = keras.layers.Dense(width, dtype="float32", name=f"adapter_{index}")
            layer.build(shape)
            self.layers.append(layer)
        self.built = True

    def adapt(self, index: int, features: Any) -> Any:
        """Return the features of one pair, adapted; as they are before `make`."""
        return self.layers[index](features) if self.built else features
