"""What the losses share that bring the student's features to the teacher's number of channels."""

from __future__ import annotations

from typing import Any

import keras

from kd_keras.losses.contract.trainable import TrainableLoss


class AdaptedLoss(TrainableLoss):
    """Base of the losses whose student features go through a linear map where channels differ.

    The map is a dense layer on the channels, which on a feature map is a 1x1 convolution.

    Args:
        teacher_layer_name: The layer or layers of the teacher (see `Loss`).
        student_layer_name: The layer or layers of the student, in the same order.
        adapter: `None` for an adapter where the channels differ, `True` for one in any case,
            `False` for none.

    Raises:
        ValueError: If `adapter` is something else.
    """

    saved_arguments: tuple[str, ...] = ("adapter",)

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
        self.adapters = Adapters(name="adapters")

    @property
    def always_trains(self) -> bool:  # type: ignore[override]
        return self.adapter is True

    def check_shapes(self, teacher_shapes: list[Any], student_shapes: list[Any]) -> None:
        super().check_shapes(teacher_shapes, student_shapes)
        for teacher, student in zip(teacher_shapes, student_shapes, strict=True):
            if self.adapter is False and teacher[-1] != student[-1]:
                raise ValueError(
                    f"{type(self).__name__} with adapter=False needs features with as many "
                    f"channels. Received: teacher {teacher}, student {student}. Leave `adapter` "
                    "out: one is then made."
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

    def adapted_pairs(self, teacher_outputs: Any, student_outputs: Any) -> list[tuple[Any, Any]]:
        """Return the pairs of features, in float32, the student's adapted."""
        return [
            (teacher, self.adapters.adapt(index, student))
            for index, (teacher, student) in enumerate(self.pairs(teacher_outputs, student_outputs))
        ]

    def _adapts(self, teacher_shape: Any, student_shape: Any) -> bool:
        return self.adapter is True or teacher_shape[-1] != student_shape[-1]


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
