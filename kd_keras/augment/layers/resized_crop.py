"""Crop a random rectangle and scale it back to the size of the image."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from kd_keras.arguments import is_number, plain
from kd_keras.augment.draws import Draws
from kd_keras.augment.geometry import Move, crop
from kd_keras.augment.layers.batchwise import BatchwiseImageLayer

# A hair below 1: `crop_and_resize` fills with zeros what rounding puts beyond the last pixel.
_WHOLE = 1.0 - 1e-6


@keras.saving.register_keras_serializable(package="kd_keras")
class RandomResizedCrop(BatchwiseImageLayer):
    """Crop a part of random area and aspect ratio and resize it to the image's own size.

    `keras_cv.layers.RandomCropAndResize` needs the size beforehand and crops images one by one;
    this layer keeps whatever size comes and crops the batch at once. Segmentation masks are cropped
    alike, to the nearest pixel.

    Args:
        area: `(low, high)` of the cropped part of the image's area, in `(0, 1]`.
        aspect_ratio: `(low, high)` of the crop's width / height relative to the image's, > 0; drawn
            log-uniformly. A side is never longer than the image.
        interpolation: "bilinear" or "nearest".
        seed: Seed of the layer's own generator, used outside of a `Policy`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import RandomResizedCrop
    >>> RandomResizedCrop(area=(0.5, 1.0))(tf.zeros((2, 32, 24, 3))).shape
    TensorShape([2, 32, 24, 3])
    """

    saved_arguments = ("area", "aspect_ratio", "interpolation")

    def __init__(
        self,
        area: tuple[float, float] = (0.6, 1.0),
        aspect_ratio: tuple[float, float] = (3 / 4, 4 / 3),
        interpolation: str = "bilinear",
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        self.area = _checked_bounds("area", area, 1.0)
        self.aspect_ratio = _checked_bounds("aspect_ratio", aspect_ratio, float("inf"))
        if interpolation not in ("bilinear", "nearest"):
            raise ValueError(
                "`interpolation` must be 'bilinear' or 'nearest'. Received: "
                f"interpolation={interpolation!r}"
            )
        self.interpolation = interpolation

    def draw(self, images: tf.Tensor) -> tf.Tensor:
        shape = [tf.shape(images)[0]]
        uniform = self._random_generator.uniform
        area = uniform(shape, self.area[0], self.area[1])
        least, most = (math.log(bound) for bound in self.aspect_ratio)
        ratio = tf.exp(uniform(shape, least, most))
        height = tf.minimum(tf.sqrt(area / ratio), _WHOLE)
        width = tf.minimum(tf.sqrt(area * ratio), _WHOLE)
        top = uniform(shape) * (1.0 - height)
        left = uniform(shape) * (1.0 - width)
        return tf.stack([top, left, top + height, left + width], axis=1)

    def transform(self, images: tf.Tensor, drawn: tf.Tensor) -> tf.Tensor:
        return _cropped(images, drawn, self.interpolation)

    def move_masks(self, masks: tf.Tensor, drawn: tf.Tensor) -> tf.Tensor:
        # Class ids have no mean.
        return _cropped(masks, drawn, "nearest")

    def geometry(self, images: tf.Tensor, draws: Draws) -> list[Move]:
        """Return where pixels of the views come from."""
        return [crop(images, self.draw(images), tf.shape(images)[1:3])]

    def augment_segmentation_mask(
        self, segmentation_mask: tf.Tensor, transformation: tf.Tensor, **kwargs: Any
    ) -> tf.Tensor:
        return self.move_masks(segmentation_mask[tf.newaxis], transformation)[0]


def _cropped(images: tf.Tensor, crops: tf.Tensor, interpolation: str) -> tf.Tensor:
    shape = tf.shape(images)
    result = tf.image.crop_and_resize(
        images, crops, tf.range(shape[0]), shape[1:3], method=interpolation
    )
    return tf.ensure_shape(tf.cast(result, images.dtype), images.shape)


def _checked_bounds(argument: str, value: Any, most: float) -> tuple[float, float]:
    bounds = tuple(map(plain, value)) if isinstance(value, (tuple, list)) else ()
    is_pair = len(bounds) == 2 and all(map(is_number, bounds))
    if not is_pair or not 0 < bounds[0] <= bounds[1] <= most:
        raise ValueError(
            f"`{argument}` must be (low, high) with 0 < low <= high <= {most:g}. Received: "
            f"{argument}={value!r}"
        )
    return bounds
