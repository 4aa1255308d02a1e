"""Spread the brightness of some of the images evenly."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kd_keras.arguments import check_number
from kd_keras.augment.layers.in_place import InPlaceLayer

_LEVELS = 256


@keras.saving.register_keras_serializable(package="kd_keras")
class Equalize(InPlaceLayer):
    """Map each channel by its own cumulative histogram, so that all levels are equally frequent.

    With N pixels, h[v] of them of level v, and step = (N - h[highest level]) // 255, level v
    becomes (step // 2 + h[0] + ... + h[v - 1]) // step. That is Pillow's `ImageOps.equalize`
    exactly; like there, an image with step = 0, such as any of fewer than 256 pixels, stays as it
    is. `keras_cv.layers.Equalization` subtracts the least frequent level instead, and takes images
    and channels one by one. This layer is itself one of keras-cv: it takes images or a dict, one
    image or a batch. Images are rounded to bytes. In a `Policy` the choice is seeded.

    Args:
        rate: Expected part of the images that are equalised, in `[0, 1]`; the others stay as they
            are.
        value_range: `(low, high)` of the images.
        seed: Seed of the layer's own generator, used outside of a `Policy`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If `rate` or `value_range` is out of range.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import Equalize
    >>> dark = tf.reshape(tf.range(1024.0) // 16, (1, 32, 32, 1))
    >>> float(tf.reduce_max(dark)), float(tf.reduce_max(Equalize(rate=1.0)(dark)))
    (63.0, 255.0)
    """

    saved_arguments = ("rate",)

    def __init__(
        self,
        rate: float = 0.5,
        value_range: tuple[float, float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(value_range, seed, **kwargs)
        remedy = "It is the part of the images that are equalised."
        self.rate = check_number("rate", rate, low=0, high=1, remedy=remedy)

    def draw(self, images: tf.Tensor) -> tf.Tensor:
        return self._random_generator.uniform([tf.shape(images)[0], 1, 1, 1]) < self.rate

    def transform(self, images: tf.Tensor, drawn: tf.Tensor) -> tf.Tensor:
        channels_first = tf.transpose(self.in_bytes(images), [0, 3, 1, 2])
        shape = tf.shape(channels_first)
        levels, changed = _equalized(tf.reshape(channels_first, [-1, shape[2] * shape[3]]))
        levels = tf.transpose(tf.reshape(levels, shape), [0, 2, 3, 1])
        changed = tf.reshape(changed, [shape[0], 1, 1, shape[1]])
        return tf.where(
            tf.logical_and(drawn, changed), self.from_bytes(levels, like=images), images
        )


def _equalized(levels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return `levels`, `(channels, pixels)` int32, equalised, and which channels change."""
    histogram = tf.math.bincount(levels, minlength=_LEVELS, maxlength=_LEVELS, axis=-1)
    highest = tf.reduce_max(levels, axis=1, keepdims=True)
    at_highest = tf.gather(histogram, highest, batch_dims=1)
    step = (tf.shape(levels)[1] - at_highest) // (_LEVELS - 1)
    below = tf.cumsum(histogram, axis=1, exclusive=True)
    # A step of 0 is replaced to divide by something; those channels are not changed.
    divisor = tf.maximum(step, 1)
    table = tf.minimum((divisor // 2 + below) // divisor, _LEVELS - 1)
    return tf.gather(table, levels, batch_dims=1), step > 0
