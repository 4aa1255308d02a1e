"""The base of our layers that leave every pixel where it is."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kd_keras.arguments import check_range
from kd_keras.augment.layers.batchwise import BatchwiseImageLayer
from kd_keras.augment.value_range import clip, scale

_BYTES = (0.0, 255.0)


class InPlaceLayer(BatchwiseImageLayer):
    """A layer that moves no pixel, so boxes, masks and keypoints stay as they are.

    Args:
        value_range: `(low, high)` of the images.
        seed: Seed of the layer's own generator, used outside of a `Policy`.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    keeps_positions = True
    saved_arguments: tuple[str, ...] = ("value_range",)

    def __init__(self, value_range: tuple[float, float], seed: int | None, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        self.value_range = check_range("value_range", value_range)

    def in_bytes(self, images: tf.Tensor) -> tf.Tensor:
        """Return `images` as int32 from 0 to 255."""
        images = scale(tf.cast(images, tf.float32), self.value_range, _BYTES)
        return tf.cast(tf.round(clip(images, _BYTES)), tf.int32)

    def from_bytes(self, images: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
        """Return what `in_bytes` made, in the layer's range and the dtype of `like`."""
        images = scale(tf.cast(images, tf.float32), _BYTES, self.value_range)
        return tf.ensure_shape(tf.cast(images, like.dtype), like.shape)

    def augment_bounding_boxes(self, bounding_boxes: Any, **kwargs: Any) -> Any:
        return bounding_boxes

    def augment_keypoints(self, keypoints: Any, **kwargs: Any) -> Any:
        return keypoints

    def augment_segmentation_mask(self, segmentation_mask: Any, **kwargs: Any) -> Any:
        return segmentation_mask
