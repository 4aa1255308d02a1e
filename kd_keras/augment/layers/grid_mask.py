"""GridMask: squares in a regular grid hide parts of the image."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kd_keras.arguments import check_number
from kd_keras.augment.layers.in_place import InPlaceLayer
from kd_keras.augment.layers.strength import checked_strength


@keras.saving.register_keras_serializable(package="kd_keras")
class GridMask(InPlaceLayer):
    """Fill one square in each unit of a grid whose size and place each image draws.

    A unit is d x d pixels; the square has the side d - l, l = max(round(ratio * d), 1), so about
    (1 - ratio)^2 of the image is hidden. The grid is not turned, as in the authors' own training.
    `keras_cv.layers.GridMask` takes images one by one and cannot be seeded. This layer is itself
    one of keras-cv: it takes images or a dict, one image or a batch. In a `Policy` the grids are
    seeded. Masks and boxes stay as they are.

    Args:
        unit: `(low, high)` of d as a part of the image's shorter side, in `[0, 1]`, and never below
            2 pixels; or one number.
        ratio: Part of a unit's side that stays visible, in `(0, 1)`.
        fill_value: What hides, in `value_range`; by default its middle.
        value_range: `(low, high)` of the images.
        seed: Seed of the layer's own generator, used outside of a `Policy`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If an argument is out of range.

    Reference:
        Chen et al., "GridMask Data Augmentation", arXiv:2001.04086.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import GridMask
    >>> hidden = GridMask(unit=0.5, ratio=0.5, fill_value=0)(tf.fill((1, 8, 8, 1), 255.0)) == 0
    >>> int(tf.math.count_nonzero(hidden))
    16
    """

    saved_arguments = ("unit", "ratio", "fill_value")

    def __init__(
        self,
        unit: float | tuple[float, float] = (0.4, 1.0),
        ratio: float = 0.6,
        fill_value: float | None = None,
        value_range: tuple[float, float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(value_range, seed, **kwargs)
        self.unit = checked_strength("unit", unit, 0, 1, "a part of the image's shorter side")
        low, high = self.value_range
        remedy = "It is the part of a unit's side that stays visible."
        self.ratio = check_number("ratio", ratio, above=0, below=1, remedy=remedy)
        if fill_value is not None:
            remedy = "That is the `value_range`; None is its middle."
            fill_value = check_number("fill_value", fill_value, low=low, high=high, remedy=remedy)
        self.fill_value = fill_value

    def draw(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        uniform = self._random_generator.uniform
        shape = tf.shape(images)
        low, high = self.unit if isinstance(self.unit, list) else (self.unit, self.unit)
        part = uniform([shape[0], 1], low, high)
        side = tf.cast(tf.minimum(shape[1], shape[2]), tf.float32)
        unit = tf.maximum(tf.cast(tf.round(part * side), tf.int32), 2)
        offsets = [
            tf.cast(uniform([shape[0], 1]) * tf.cast(unit, tf.float32), tf.int32) for _ in range(2)
        ]
        return unit, offsets[0], offsets[1]

    def transform(self, images: tf.Tensor, drawn: tuple[Any, Any, Any]) -> tf.Tensor:
        unit, rows_offset, columns_offset = drawn
        visible = tf.cast(tf.round(self.ratio * tf.cast(unit, tf.float32)), tf.int32)
        visible = tf.clip_by_value(visible, 1, unit - 1)

        def hidden(size: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
            return tf.math.floormod(tf.range(size) + offset, unit) >= visible

        shape = tf.shape(images)
        rows = hidden(shape[1], rows_offset)[:, :, None, None]
        columns = hidden(shape[2], columns_offset)[:, None, :, None]
        fill = sum(self.value_range) / 2 if self.fill_value is None else self.fill_value
        return tf.where(tf.logical_and(rows, columns), tf.cast(fill, images.dtype), images)
