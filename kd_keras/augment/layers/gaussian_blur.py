"""Blur by a Gaussian of a width drawn for each image."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kd_keras.augment.layers.in_place import InPlaceLayer
from kd_keras.augment.layers.strength import checked_strength, draw_strength

# The Gaussian is cut off at this many standard deviations, as scipy.ndimage does.
_TRUNCATE = 4.0
# Narrower ones leave every pixel as it is: its neighbours weigh exp(-5000).
_NARROWEST = 0.01


@keras.saving.register_keras_serializable(package="kd_keras")
class GaussianBlur(InPlaceLayer):
    """Convolve with a Gaussian: weights exp(-d^2 / (2 sigma^2)), normalised, d in pixels.

    The border is mirrored, `(c b a | a b c)`. `keras_cv.layers.RandomGaussianBlur` pads with zeros,
    which darkens the border, and takes images one by one. This layer is itself one of keras-cv: it
    takes images or a dict, one image or a batch. In a `Policy` the widths are seeded.

    Args:
        sigma: Standard deviation in pixels, >= 0; or `(low, high)`, from which each image draws its
            own. The work grows with the largest one.
        value_range: `(low, high)` of the images; a mean of pixels never leaves it.
        seed: Seed of the layer's own generator, used outside of a `Policy`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If `sigma` or `value_range` is out of range.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import GaussianBlur
    >>> dot = tf.scatter_nd([[0, 4, 4, 0]], [255.0], (1, 9, 9, 1))
    >>> blurred = GaussianBlur(sigma=1.0)(dot)
    >>> round(float(blurred[0, 4, 4, 0])), round(float(tf.reduce_sum(blurred)))
    (41, 255)
    """

    saved_arguments = ("sigma",)

    def __init__(
        self,
        sigma: float | tuple[float, float] = (0.0, 1.0),
        value_range: tuple[float, float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(value_range, seed, **kwargs)
        self.sigma = checked_strength("sigma", sigma, 0, float("inf"), "a width in pixels")

    def draw(self, images: tf.Tensor) -> tf.Tensor:
        return draw_strength(self._random_generator, self.sigma, images)

    def transform(self, images: tf.Tensor, drawn: tf.Tensor) -> tf.Tensor:
        largest = self.sigma[1] if isinstance(self.sigma, list) else self.sigma
        radius = int(_TRUNCATE * largest + 0.5)
        if radius == 0:
            return images
        scaled = 1.0 / tf.maximum(drawn, _NARROWEST)
        side = [tf.exp(-0.5 * tf.square(float(step) * scaled)) for step in range(1, radius + 1)]
        total = 1.0 + 2.0 * tf.add_n(side)
        weights = [1.0 / total, *(weight / total for weight in side)]
        blurred = _along(1, _along(2, tf.cast(images, tf.float32), weights), weights)
        return tf.ensure_shape(tf.cast(blurred, images.dtype), images.shape)


def _along(axis: int, images: tf.Tensor, weights: list[tf.Tensor]) -> tf.Tensor:
    """Return the weighted sum of `images` shifted along `axis` to both sides."""
    radius, size = len(weights) - 1, tf.shape(images)[axis]
    # By index, since a mirrored `tf.pad` refuses to be wider than the image.
    place = tf.math.floormod(tf.range(-radius, size + radius), 2 * size)
    padded = tf.gather(images, tf.minimum(place, 2 * size - 1 - place), axis=axis)

    def shifted(step: int) -> tf.Tensor:
        start = radius + step
        if axis == 1:
            return padded[:, start : start + size]
        return padded[:, :, start : start + size]

    result = weights[0] * shifted(0)
    for step in range(1, radius + 1):
        result += weights[step] * (shifted(step) + shifted(-step))
    return result
