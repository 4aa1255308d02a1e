"""Keep a few bits of each channel, as many as each image draws."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kd_keras.augment.layers.in_place import InPlaceLayer
from kd_keras.augment.layers.strength import checked_strength, draw_whole


@keras.saving.register_keras_serializable(package="kd_keras")
class Posterize(InPlaceLayer):
    """Set all but the highest bits of each byte to zero: floor(x / 2^(8 - bits)) * 2^(8 - bits).

    Pillow's `ImageOps.posterize`. `keras_cv.layers.Posterization` has one number of bits for all
    images, and truncates where a range other than (0, 255) left a byte a hair too low. This layer
    is itself one of keras-cv: it takes images or a dict, one image or a batch. Images are rounded
    to bytes. In a `Policy` the numbers of bits are seeded.

    Args:
        bits: Bits that are kept, from 1 to 8, where 8 keeps the image; or `(low, high)`, from which
            each image draws an integer, both included.
        value_range: `(low, high)` of the images.
        seed: Seed of the layer's own generator, used outside of a `Policy`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If `bits` or `value_range` is out of range.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import Posterize
    >>> ramp = tf.reshape([0.0, 63.0, 64.0, 255.0], (1, 1, 4, 1))
    >>> Posterize(bits=2)(ramp).numpy().ravel().tolist()
    [0.0, 0.0, 64.0, 192.0]
    """

    saved_arguments = ("bits",)

    def __init__(
        self,
        bits: int | tuple[int, int] = (3, 7),
        value_range: tuple[float, float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(value_range, seed, **kwargs)
        self.bits = checked_strength("bits", bits, 1, 8, "8 for all of them", whole=True)

    def draw(self, images: tf.Tensor) -> tf.Tensor:
        return draw_whole(self._random_generator, self.bits, images)

    def transform(self, images: tf.Tensor, drawn: tf.Tensor) -> tf.Tensor:
        dropped = 8 - drawn
        kept = tf.bitwise.right_shift(self.in_bytes(images), dropped)
        return self.from_bytes(tf.bitwise.left_shift(kept, dropped), like=images)
