"""Store as JPEG and open again, at a quality drawn for each image."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kd_keras.augment.layers.in_place import InPlaceLayer
from kd_keras.augment.layers.strength import checked_strength, draw_whole


@keras.saving.register_keras_serializable(package="kd_keras")
class JpegCompression(InPlaceLayer):
    """Show the marks of JPEG compression: what `tf.io` decodes of what it encoded.

    `keras_cv.layers.RandomJpegQuality` is right for images in (0, 1) alone. This layer is itself
    one of keras-cv: it takes images or a dict, one image or a batch. Images are rounded to bytes.
    In a `Policy` the qualities are seeded. The codec takes images one by one.

    Args:
        quality: From 1, few bytes, to 100, many; or `(low, high)`, from which each image draws an
            integer, both included.
        value_range: `(low, high)` of the images, which have 1 or 3 channels.
        seed: Seed of the layer's own generator, used outside of a `Policy`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If `quality` or `value_range` is out of range, or images have other channels.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import JpegCompression
    >>> dot = tf.scatter_nd([[0, 4, 4, 0]], [255.0], (1, 8, 8, 1))
    >>> stored = JpegCompression(quality=10)(dot)
    >>> stored.shape, float(stored[0, 4, 4, 0]) < 200
    (TensorShape([1, 8, 8, 1]), True)
    """

    saved_arguments = ("quality",)

    def __init__(
        self,
        quality: int | tuple[int, int] = (30, 95),
        value_range: tuple[float, float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(value_range, seed, **kwargs)
        self.quality = checked_strength("quality", quality, 1, 100, "100 for the best", whole=True)

    def draw(self, images: tf.Tensor) -> tf.Tensor:
        return tf.reshape(draw_whole(self._random_generator, self.quality, images), [-1])

    def transform(self, images: tf.Tensor, drawn: tf.Tensor) -> tf.Tensor:
        channels = images.shape[-1]
        if channels not in (1, 3):
            raise ValueError(
                f"JpegCompression needs images of 1 or 3 channels. Received: images of shape "
                f"{tuple(images.shape)}. Leave it out of the policy for such images."
            )

        def reopened(element: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
            image, quality = element
            stored = tf.raw_ops.EncodeJpegVariableQuality(images=image, quality=quality)
            return tf.io.decode_jpeg(stored, channels=channels)

        opened = tf.map_fn(
            reopened,
            (tf.cast(self.in_bytes(images), tf.uint8), drawn),
            fn_output_signature=tf.TensorSpec(images.shape[1:], tf.uint8),
        )
        return self.from_bytes(opened, like=images)
