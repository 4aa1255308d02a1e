"""Corruptions that processing and storage make."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from kd_keras.evaluate.corruptions.draws import Draws
from kd_keras.evaluate.corruptions.geometry import (
    box_resized,
    filtered,
    gaussian_kernel,
    grid,
    read_at,
)


def contrast(image: tf.Tensor, severity: int, draws: Draws) -> tf.Tensor:
    """Move each channel towards its mean."""
    factor = (0.75, 0.5, 0.4, 0.3, 0.15)[severity - 1]
    mean = tf.reduce_mean(image, axis=(0, 1), keepdims=True)
    return (image - mean) * factor + mean


def elastic_transform(image: tf.Tensor, severity: int, draws: Draws) -> tf.Tensor:
    """Stretch and squeeze regions: a smooth random displacement, after a random affine map."""
    # As shares of the image's size: strength and smoothness of the displacement, affine jitter.
    strength, smoothness, jitter = (
        (0.0, 0.0, 0.08),
        (0.05, 0.2, 0.07),
        (0.08, 0.06, 0.06),
        (0.10, 0.04, 0.05),
        (0.10, 0.03, 0.03),
    )[severity - 1]
    height, width = image.shape[:2]
    size = min(height, width)
    rows, columns = grid(image)
    # Three corners of a square in the middle move; what maps the moved ones back is affine.
    third = size / 3
    corners = np.array([[1, 1], [1, -1], [-1, -1]], "float32") * third
    moved = corners + draws.uniform((3, 2), -jitter * size, jitter * size)
    ones = tf.ones((3, 1))
    affine = tf.linalg.solve(tf.concat([moved, ones], axis=1), tf.constant(corners))
    middle = tf.constant([(height - 1) / 2, (width - 1) / 2])
    places = tf.stack([rows, columns, tf.ones_like(rows)], axis=-1)
    centred = places - tf.concat([middle, [0.0]], axis=0)
    places = tf.tensordot(centred, affine, axes=1) + middle
    if strength:
        field = draws.uniform((height, width, 2), -1.0, 1.0)
        # A kernel far wider than the image averages mirrored copies of it: a third is enough.
        smooth = filtered(field, gaussian_kernel(min(smoothness * size, size / 3)))
        places += strength * size * smooth
    return read_at(image, places[..., 0], places[..., 1])


def pixelate(image: tf.Tensor, severity: int, draws: Draws) -> tf.Tensor:
    """Take a smaller image and enlarge it again, pixel by pixel."""
    share = (0.95, 0.9, 0.85, 0.75, 0.65)[severity - 1]
    height, width = image.shape[:2]
    small = box_resized(image, max(1, int(height * share)), max(1, int(width * share)))
    return box_resized(small, height, width)


def jpeg_compression(image: tf.Tensor, severity: int, draws: Draws) -> tf.Tensor:
    """Store as JPEG with few bytes."""
    quality = (80, 65, 58, 50, 40)[severity - 1]
    stored = tf.io.encode_jpeg(
        tf.cast(tf.round(tf.clip_by_value(image, 0.0, 1.0) * 255), tf.uint8), quality=quality
    )
    opened = tf.io.decode_jpeg(stored, channels=image.shape[-1])
    return tf.ensure_shape(tf.cast(opened, tf.float32) / 255, image.shape)
