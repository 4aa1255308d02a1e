"""Apply one corruption to a batch of images."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kd_keras.arguments import check_integer
from kd_keras.evaluate.corruptions import blur, digital, noise, weather
from kd_keras.evaluate.corruptions.draws import Draws

_FUNCTIONS = (
    noise.gaussian_noise,
    noise.shot_noise,
    noise.impulse_noise,
    blur.defocus_blur,
    blur.glass_blur,
    blur.motion_blur,
    blur.zoom_blur,
    weather.snow,
    weather.frost,
    weather.fog,
    weather.brightness,
    digital.contrast,
    digital.elastic_transform,
    digital.pixelate,
    digital.jpeg_compression,
)
# The names of the corruptions, in the order of the reference.
CORRUPTIONS = tuple(function.__name__ for function in _FUNCTIONS)
SEVERITIES = (1, 2, 3, 4, 5)


def corrupt(images: Any, corruption: str, severity: int, seed: int = 0) -> tf.Tensor:
    """Return a batch of images, each corrupted on its own.

    What happens to an image is a function of the seed, the corruption and the image: the same in
    any batch and any order, eagerly and in a graph.

    Args:
        images: uint8 `(batch, height, width, channels)`, 0..255, with one or three channels, of a
            known size.
        corruption: One of `CORRUPTIONS`.
        severity: From 1 to 5.
        seed: Any integer.

    Returns:
        uint8 images of the same shape.

    Raises:
        TypeError: If the images are not uint8.
        ValueError: If their shape is none of images, or another argument is out of its range.

    Example:

    >>> import numpy as np
    >>> from kd_keras.evaluate.corruptions import corrupt
    >>> corrupt(np.full((1, 8, 8, 1), 100, "uint8"), "brightness", 4).numpy()[0, 0, 0]
    array([151], dtype=uint8)

    Reference: Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common
    Corruptions and Perturbations", ICLR 2019, arXiv:1903.12261.
    """
    if corruption not in CORRUPTIONS:
        raise ValueError(
            f"`corruption` must be one of {', '.join(CORRUPTIONS)}. Received: "
            f"corruption={corruption!r}"
        )
    severity = check_integer("severity", severity, min(SEVERITIES), max(SEVERITIES))
    images = tf.convert_to_tensor(images)
    if images.dtype != tf.uint8:
        raise TypeError(
            f"`images` must be uint8, 0..255. Received: dtype {images.dtype.name}. Corrupt the "
            "images before anything scales them."
        )
    shape = images.shape
    if shape.rank != 4 or None in shape[1:] or shape[3] not in (1, 3):
        raise ValueError(
            "`images` must have the shape (batch, height, width, 1 or 3) with a known size. "
            f"Received: shape {shape}"
        )
    index = CORRUPTIONS.index(corruption)
    function = _FUNCTIONS[index]

    def one(image: tf.Tensor) -> tf.Tensor:
        changed = function(tf.cast(image, tf.float32) / 255, severity, Draws(image, seed, index))
        changed = tf.round(tf.clip_by_value(changed, 0.0, 1.0) * 255)
        return tf.ensure_shape(tf.cast(changed, tf.uint8), shape[1:])

    return tf.map_fn(one, images, fn_output_signature=tf.TensorSpec(shape[1:], tf.uint8))
