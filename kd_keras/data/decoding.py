"""Image files to pixels in TensorFlow, as `kd_keras.pictures` rules."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def decode_jpeg(content: Any, channels: int) -> tf.Tensor:
    """Return the pixels of a JPEG, or of a PNG without transparency.

    TensorFlow's default is a faster transform, whose pixels are up to 16 levels off those of
    Pillow and of browsers; reading takes as long with this one.
    """
    return tf.io.decode_jpeg(content, channels=channels, dct_method="INTEGER_ACCURATE")


def decode_file(content: Any, transparent: Any, orientation: Any) -> tf.Tensor:
    """Return a picture upright, opaque and RGB.

    Args:
        content: What is in a PNG or JPEG file, scalar string.
        transparent: Whether it may be seen through; scalar bool.
        orientation: 1..8 as EXIF counts; scalar integer.

    Returns:
        Uint8 of shape (height, width, 3).
    """
    image = tf.cond(transparent, lambda: _on_black(content), lambda: decode_jpeg(content, 3))
    return tf.cond(orientation > 1, lambda: _upright(image, orientation), lambda: image)


def _on_black(content: Any) -> tf.Tensor:
    colours, alpha = tf.split(tf.cast(tf.io.decode_png(content, channels=4), tf.float32), [3, 1], 2)
    return tf.cast(tf.round(colours * alpha / 255.0), tf.uint8)


def _upright(image: Any, orientation: Any) -> tf.Tensor:
    def where(codes: list[int], change: Any, image: Any) -> tf.Tensor:
        return tf.cond(tf.reduce_any(orientation == codes), lambda: change(image), lambda: image)

    image = where([5, 6, 7, 8], lambda image: tf.transpose(image, (1, 0, 2)), image)
    image = where([2, 3, 6, 7], lambda image: tf.reverse(image, [1]), image)
    return where([3, 4, 7, 8], lambda image: tf.reverse(image, [0]), image)
