"""Noise on every pixel: Gaussian, speckle, and salt and pepper."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kd_keras.augment.layers.in_place import InPlaceLayer
from kd_keras.augment.layers.strength import checked_strength, draw_strength

_PART_OF_RANGE = "a part of the width of the range"
_PART_OF_PIXELS = "a part of the pixels"


@keras.saving.register_keras_serializable(package="kd_keras")
class GaussianNoise(InPlaceLayer):
    """Add normal noise: x + stddev * (high - low) * n, n ~ N(0, 1), clipped to the range.

    A keras-cv layer: it takes images or a dict, one image or a batch, in any Keras or keras-cv
    pipeline. In a `Policy` the noise is seeded.

    Args:
        stddev: Standard deviation as a part of the width of `value_range`, in `[0, 1]`; or
            `(low, high)`, from which each image draws its own.
        value_range: `(low, high)` of the images.
        seed: Seed of the layer's own generator, used outside of a `Policy`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If `stddev` or `value_range` is out of range.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import GaussianNoise
    >>> noisy = GaussianNoise(stddev=0.1, seed=1)(tf.fill((2, 8, 8, 3), 128.0))
    >>> noisy.shape, bool(tf.math.reduce_std(noisy) > 20)
    (TensorShape([2, 8, 8, 3]), True)
    """

    saved_arguments = ("stddev",)

    def __init__(
        self,
        stddev: float | tuple[float, float] = 0.05,
        value_range: tuple[float, float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(value_range, seed, **kwargs)
        self.stddev = checked_strength("stddev", stddev, 0, 1, _PART_OF_RANGE)

    def draw(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        width = self.value_range[1] - self.value_range[0]
        strength = draw_strength(self._random_generator, self.stddev, images) * width
        return strength, self._random_generator.normal(tf.shape(images))

    def transform(self, images: tf.Tensor, drawn: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        strength, noise = drawn
        low, high = self.value_range
        noise = tf.cast(strength * noise, images.dtype)
        return tf.clip_by_value(images + noise, low, high)


@keras.saving.register_keras_serializable(package="kd_keras")
class SpeckleNoise(InPlaceLayer):
    """Add noise that grows with the brightness: low + (x - low) * (1 + stddev * n), n ~ N(0, 1).

    The result is clipped to the range; where an image is at the low end it stays there. A keras-cv
    layer: it takes images or a dict, one image or a batch, in any Keras or keras-cv pipeline. In a
    `Policy` the noise is seeded.

    Args:
        stddev: Standard deviation as a part of the brightness, in `[0, 1]`; or `(low, high)`, from
            which each image draws its own.
        value_range: `(low, high)` of the images.
        seed: Seed of the layer's own generator, used outside of a `Policy`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If `stddev` or `value_range` is out of range.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import SpeckleNoise
    >>> half_black = tf.constant([0.0, 128.0])[None, :, None, None] * tf.ones((2, 2, 8, 3))
    >>> noisy = SpeckleNoise(stddev=0.2, seed=1)(half_black)
    >>> float(tf.reduce_max(noisy[:, 0])), bool(tf.math.reduce_std(noisy[:, 1]) > 20)
    (0.0, True)
    """

    saved_arguments = ("stddev",)

    def __init__(
        self,
        stddev: float | tuple[float, float] = 0.1,
        value_range: tuple[float, float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(value_range, seed, **kwargs)
        self.stddev = checked_strength("stddev", stddev, 0, 1, "a part of the brightness")

    def draw(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        strength = draw_strength(self._random_generator, self.stddev, images)
        return strength, self._random_generator.normal(tf.shape(images))

    def transform(self, images: tf.Tensor, drawn: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        strength, noise = drawn
        low, high = self.value_range
        noise = tf.cast(strength * noise, images.dtype)
        return tf.clip_by_value(images + (images - low) * noise, low, high)


@keras.saving.register_keras_serializable(package="kd_keras")
class SaltAndPepper(InPlaceLayer):
    """Set a part of the pixels to the ends of the range, half of them to each.

    All channels of a pixel go together. A keras-cv layer: it takes images or a dict, one image or a
    batch, in any Keras or keras-cv pipeline. In a `Policy` the noise is seeded.

    Args:
        amount: Expected part of the pixels, in `[0, 1]`; or `(low, high)`, from which each image
            draws its own.
        value_range: `(low, high)` of the images: pepper and salt.
        seed: Seed of the layer's own generator, used outside of a `Policy`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If `amount` or `value_range` is out of range.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import SaltAndPepper
    >>> noisy = SaltAndPepper(amount=1.0, seed=1)(tf.fill((2, 8, 8, 3), 128.0))
    >>> sorted(set(noisy.numpy().ravel().tolist()))
    [0.0, 255.0]
    """

    saved_arguments = ("amount",)

    def __init__(
        self,
        amount: float | tuple[float, float] = 0.02,
        value_range: tuple[float, float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(value_range, seed, **kwargs)
        self.amount = checked_strength("amount", amount, 0, 1, _PART_OF_PIXELS)

    def draw(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        amount = draw_strength(self._random_generator, self.amount, images)
        shape = tf.shape(images)
        return amount, self._random_generator.uniform([shape[0], shape[1], shape[2], 1])

    def transform(self, images: tf.Tensor, drawn: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        amount, chance = drawn
        low, high = (tf.cast(value, images.dtype) for value in self.value_range)
        images = tf.where(chance < 0.5 * amount, low, images)
        # `chance` is below 1, so amount = 1 reaches every pixel.
        return tf.where(chance >= 1.0 - 0.5 * amount, high, images)
