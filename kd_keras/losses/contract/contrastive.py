"""What the contrastive losses share: embeddings of both networks, temperature, labels."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from kd_keras.arguments import check_integer
from kd_keras.losses.contract.schedules import checked_temperature
from kd_keras.losses.contract.trainable import TrainableLoss
from kd_keras.losses.contract.vectors import l2_normalize


class Embedding(keras.layers.Layer):
    """Flatten the features of one network, map them linearly, and give them unit length.

    Args:
        dimensions: Length of the embedding.
    """

    def __init__(self, dimensions: int, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.dimensions = dimensions
        self.linear = keras.layers.Dense(dimensions, dtype="float32", name="linear")

    def build(self, shape: Any) -> None:
        if None in shape[1:]:
            raise ValueError(
                "The contrastive losses flatten the features, so their sizes must be known. "
                f"Received: features of shape {tuple(shape)}. Tap the pooled features, or give the "
                "models' inputs a fixed size."
            )
        self.features = math.prod(shape[1:])
        self.linear.build((shape[0], self.features))
        self.built = True

    def call(self, features: Any) -> Any:
        return l2_normalize(self.linear(ops.reshape(features, (-1, self.features))))


class ContrastiveLoss(TrainableLoss):
    """Base of the losses that contrast embeddings of one tap of each network.

    Args:
        teacher_layer_name: The layer of the teacher, usually its pooled features (see `Loss`).
        student_layer_name: The layer of the student.
        temperature: T, from 0.001 to 1000.
        dimensions: Length of the embeddings.
        other_classes_only: Whether negatives of the same class are left out; needs labels.
    """

    matches = "contrast"
    saved_arguments: tuple[str, ...] = ("temperature", "dimensions", "other_classes_only")

    def __init__(
        self,
        teacher_layer_name: Any = None,
        student_layer_name: Any = None,
        temperature: Any = 0.07,
        dimensions: int = 128,
        other_classes_only: bool = False,
    ):
        super().__init__(teacher_layer_name, student_layer_name)
        self.temperature = checked_temperature(temperature)
        self.dimensions = check_integer("dimensions", dimensions, 1)
        self.other_classes_only = bool(other_classes_only)
        self.teacher_embedding = Embedding(self.dimensions, name="teacher_embedding")
        self.student_embedding = Embedding(self.dimensions, name="student_embedding")

    def check_shapes(self, teacher_shapes: list[Any], student_shapes: list[Any]) -> None:
        shapes = (*teacher_shapes, *student_shapes)
        if len(teacher_shapes) != 1 or len(student_shapes) != 1 or any(len(s) < 2 for s in shapes):
            raise ValueError(
                f"{type(self).__name__} compares one tap of each network, (batch, ...). Received: "
                f"teacher {teacher_shapes}, student {student_shapes}. Pass one loss for each pair "
                "of taps."
            )

    def build_layers(self, teacher_shapes: list[Any], student_shapes: list[Any]) -> None:
        self.teacher_embedding.build(teacher_shapes[0])
        self.student_embedding.build(student_shapes[0])

    def embed(self, teacher_outputs: Any, student_outputs: Any) -> tuple[Any, Any]:
        """Return the embeddings of both, `(batch, dimensions)` of unit length."""
        ((teacher, student),) = self.pairs(teacher_outputs, student_outputs)
        return self.teacher_embedding(teacher), self.student_embedding(student)


def class_numbers(y: Any) -> Any:
    """Return labels as class numbers `(batch,)`, from numbers `(batch,)` or `(batch, 1)` or rows.

    Args:
        y: Class numbers, or one row of class probabilities for each example.

    Raises:
        ValueError: If `y` is something else.
    """
    rank = len(getattr(y, "shape", ()))
    if rank == 1:
        return ops.cast(y, "int32")
    if rank == 2:
        return ops.cast(y[:, 0] if y.shape[1] == 1 else ops.argmax(y, axis=-1), "int32")
    raise ValueError(
        "Negatives from other classes need labels `y`, class numbers (batch,) or rows (batch, "
        f"classes). Received: y={y!r}. Leave out `other_classes_only`, or pass labels."
    )
