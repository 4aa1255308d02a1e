"""The layers of knowledge review: attention-based fusion of the student's stages."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kd_keras.losses.contract.spatial import nearest_to


class ReviewFusion(keras.layers.Layer):
    """Fuse the student's stages from the deepest up, each into the shape of the teacher's stage.

    Args:
        max_width: Largest number of channels of what is carried from stage to stage.
    """

    def __init__(self, max_width: int, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.max_width = max_width
        self.stages: list[Any] = []

    def make(self, teacher_shapes: list[Any], student_shapes: list[Any]) -> None:
        """Make and build the layers for maps `(batch, height, width, channels)`."""
        width = min(self.max_width, student_shapes[-1][-1])
        deepest = len(student_shapes) - 1
        for index, (teacher, student) in enumerate(
            zip(teacher_shapes, student_shapes, strict=True)
        ):
            stage = FusionStage(
                width, teacher[1:3], teacher[-1], index < deepest, name=f"stage_{index}"
            )
            stage.build(student)
            self.stages.append(stage)
        self.built = True

    def call(self, features: list[Any], training: bool = False) -> list[Any]:
        results = []
        carry = None
        for stage, own in zip(reversed(self.stages), reversed(features), strict=True):
            result, carry = stage.fuse(own, carry, training)
            results.append(result)
        return results[::-1]


class FusionStage(keras.layers.Layer):
    """One stage: the student's features, mixed with what the deeper stages carry up.

    Args:
        width: Channels of what is carried.
        sizes: Height and width of the teacher's map.
        channels: Channels of the teacher's map.
        has_deeper: Whether there is a deeper stage to mix with.
    """

    def __init__(self, width: int, sizes: Any, channels: int, has_deeper: bool, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.width = width
        self.sizes = tuple(sizes)
        # 1x1 convolutions, as dense layers on the channels.
        self.own = keras.layers.Dense(
            width, use_bias=False, kernel_initializer=_uniform(1.0), dtype="float32", name="own"
        )
        self.own_norm = _normalization(name="own_norm")
        self.out = keras.layers.Conv2D(
            channels,
            3,
            padding="same",
            use_bias=False,
            kernel_initializer=_uniform(1.0),
            data_format="channels_last",
            dtype="float32",
            name="out",
        )
        self.out_norm = _normalization(name="out_norm")
        self.gates = None
        if has_deeper:
            self.gates = keras.layers.Dense(
                2,
                activation="sigmoid",
                kernel_initializer=_uniform(1 / 3),
                dtype="float32",
                name="gates",
            )

    def build(self, shape: Any) -> None:
        self.own.build(shape)
        mixed = (*shape[:3], self.width)
        self.own_norm.build(mixed)
        if self.gates is not None:
            self.gates.build((*shape[:3], 2 * self.width))
        self.out.build((shape[0], *self.sizes, self.width))
        self.out_norm.build((shape[0], *self.sizes, self.out.filters))
        self.built = True

    def fuse(self, features: Any, carry: Any, training: bool) -> tuple[Any, Any]:
        """Return (features in the teacher's shape, what is carried to the stage before)."""
        mixed = self.own_norm(self.own(features), training=training)
        if self.gates is not None:
            carry = nearest_to(carry, mixed.shape[1:3])
            gates = self.gates(ops.concatenate([mixed, carry], axis=-1))
            mixed = mixed * gates[..., :1] + carry * gates[..., 1:]
        mixed = nearest_to(mixed, self.sizes)
        return self.out_norm(self.out(mixed), training=training), mixed


def _uniform(scale: float) -> Any:
    # Up to sqrt(3 * scale / fan_in): with 1 and 1/3 as in the reference.
    return keras.initializers.VarianceScaling(scale, "fan_in", "uniform")


def _normalization(name: str) -> Any:
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, dtype="float32", name=name)
