"""Noise on every pixel: Gaussian, and salt and pepper."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kd_keras.augment.layers.batchwise import BatchwiseImageLayer
from kd_keras.augment.value_range import checked_range


class _PixelNoise(BatchwiseImageLayer):
    """Noise that moves no pixel, so boxes, masks and keypoints stay as they are."""

    keeps_positions = True

    def __init__(self, value_range: tuple[float, float], seed: int | None, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        self.value_range = checked_range(value_range)

    def augment_bounding_boxes(self, bounding_boxes: Any, **kwargs: Any) -> Any:
        return bounding_boxes

    def augment_keypoints(self, keypoints: Any, **kwargs: Any) -> Any:
        return keypoints

    def augment_segmentation_mask(self, segmentation_mask: Any, **kwargs: Any) -> Any:
        return segmentation_mask

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "value_range": list(self.value_range)}


@keras.saving.register_keras_serializable(package="kd_keras")
class GaussianNoise(_PixelNoise):
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

    def __init__(
        self,
        stddev: float | tuple[float, float] = 0.05,
        value_range: tuple[float, float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(value_range, seed, **kwargs)
        self.stddev = _checked_strength("stddev", stddev)

    def draw(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        width = self.value_range[1] - self.value_range[0]
        strength = _draw_strength(self._random_generator, self.stddev, images) * width
        return strength, self._random_generator.normal(tf.shape(images))

    def transform(self, images: tf.Tensor, drawn: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        strength, noise = drawn
        low, high = self.value_range
        noise = tf.cast(strength * noise, images.dtype)
        return tf.clip_by_value(images + noise, low, high)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stddev": self.stddev}


@keras.saving.register_keras_serializable(package="kd_keras")
class SaltAndPepper(_PixelNoise):
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

    def __init__(
        self,
        amount: float | tuple[float, float] = 0.02,
        value_range: tuple[float, float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(value_range, seed, **kwargs)
        self.amount = _checked_strength("amount", amount)

    def draw(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        amount = _draw_strength(self._random_generator, self.amount, images)
        shape = tf.shape(images)
        return amount, self._random_generator.uniform([shape[0], shape[1], shape[2], 1])

    def transform(self, images: tf.Tensor, drawn: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        amount, chance = drawn
        low, high = (tf.cast(value, images.dtype) for value in self.value_range)
        images = tf.where(chance < 0.5 * amount, low, images)
        # `chance` is below 1, so amount = 1 reaches every pixel.
        return tf.where(chance >= 1.0 - 0.5 * amount, high, images)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "amount": self.amount}


def _checked_strength(argument: str, value: Any) -> Any:
    bounds = list(value) if isinstance(value, (tuple, list)) else [value, value]
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in bounds)
    if len(bounds) != 2 or not numbers or not 0 <= bounds[0] <= bounds[1] <= 1:
        raise ValueError(
            f"`{argument}` must be a number in [0, 1], a part of the range or of the pixels, or "
            f"(low, high) of two such numbers. Received: {argument}={value!r}"
        )
    return bounds if isinstance(value, (tuple, list)) else value


def _draw_strength(generator: Any, strength: Any, images: tf.Tensor) -> tf.Tensor:
    """Return the strength of the noise for each image, `(batch, 1, 1, 1)` or a scalar."""
    if not isinstance(strength, list):
        return tf.constant(strength, tf.float32)
    return generator.uniform([tf.shape(images)[0], 1, 1, 1], strength[0], strength[1])
