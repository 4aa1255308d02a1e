"""Sharpen or soften, by a factor drawn for each image."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kd_keras.augment.layers.in_place import InPlaceLayer
from kd_keras.augment.layers.strength import checked_strength, draw_strength


@keras.saving.register_keras_serializable(package="kd_keras")
class Sharpness(InPlaceLayer):
    """Move away from a smoothed image, or towards it: smooth + factor * (x - smooth), clipped.

    The smoothed image is the mean over 3x3 pixels with the middle one counted five times; the
    outermost pixels stay as they are. That is Pillow's `ImageEnhance.Sharpness`, without its
    rounding. `keras_cv.layers.RandomSharpness` goes from 1 to 0 alone, so it only ever softens.
    This layer is itself one of keras-cv: it takes images or a dict, one image or a batch. In a
    `Policy` the factors are seeded.

    Args:
        factor: 0 gives the smoothed image, 1 the image itself, 2 a sharpened one; >= 0. Or
            `(low, high)`, from which each image draws its own.
        value_range: `(low, high)` of the images.
        seed: Seed of the layer's own generator, used outside of a `Policy`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If `factor` or `value_range` is out of range.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import Sharpness
    >>> edge = tf.constant([[100.0, 100.0, 120.0, 120.0]] * 3)[None, :, :, None]
    >>> [round(float(value), 1) for value in Sharpness(factor=2.0)(edge)[0, 1, :, 0]]
    [100.0, 95.4, 124.6, 120.0]
    """

    saved_arguments = ("factor",)

    def __init__(
        self,
        factor: float | tuple[float, float] = (0.1, 1.9),
        value_range: tuple[float, float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(value_range, seed, **kwargs)
        self.factor = checked_strength("factor", factor, 0, float("inf"), "1 for no change")

    def draw(self, images: tf.Tensor) -> tf.Tensor:
        return draw_strength(self._random_generator, self.factor, images)

    def transform(self, images: tf.Tensor, drawn: tf.Tensor) -> tf.Tensor:
        x = tf.cast(images, tf.float32)
        low, high = self.value_range
        result = tf.where(_inside(x), x + (drawn - 1.0) * (x - _smoothed(x)), x)
        return tf.cast(tf.clip_by_value(result, float(low), float(high)), images.dtype)


def _smoothed(x: tf.Tensor) -> tf.Tensor:
    padded = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    square = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    return (square + 4.0 * x) * (1.0 / 13.0)


def _inside(x: tf.Tensor) -> tf.Tensor:
    """Return which pixels are not outermost, `(1, height, width, 1)` bool."""
    shape = tf.shape(x)
    rows, columns = tf.range(shape[1]), tf.range(shape[2])
    rows_inside = tf.logical_and(rows > 0, rows < shape[1] - 1)
    columns_inside = tf.logical_and(columns > 0, columns < shape[2] - 1)
    return tf.logical_and(rows_inside[None, :, None, None], columns_inside[None, None, :, None])
