"""Corruptions that blur."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from kd_keras.evaluate.corruptions.draws import Draws
from kd_keras.evaluate.corruptions.geometry import (
    disk_kernel,
    filtered,
    gaussian_kernel,
    grid,
    moved_blur,
    read_at,
    scale_of,
    zoomed,
)


def defocus_blur(image: tf.Tensor, severity: int, draws: Draws) -> tf.Tensor:
    """Spread each point to a disk, as a lens out of focus does."""
    radius, soft = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))[severity - 1]
    # In a smaller image than those of the reference such a disk would be no more than a pixel.
    scale = max(1.0, scale_of(image))
    return filtered(image, disk_kernel(radius * scale, soft * scale))


def glass_blur(image: tf.Tensor, severity: int, draws: Draws) -> tf.Tensor:
    """Let each pixel take the place of a near one, as frosted glass does."""
    deviation, reach, times = (
        (0.05, 1, 1),
        (0.25, 1, 1),
        (0.4, 1, 1),
        (0.25, 1, 2),
        (0.4, 1, 2),
    )[severity - 1]
    scale = scale_of(image)
    reach = max(1, round(reach * scale))
    kernel = gaussian_kernel(deviation * scale)
    image = filtered(image, kernel)
    rows, columns = grid(image)
    for _ in range(times):
        offsets = tf.floor(draws.uniform((2, *image.shape[:2]), -reach, reach + 1))
        image = read_at(image, rows + offsets[0], columns + offsets[1])
    return filtered(image, kernel)


def motion_blur(image: tf.Tensor, severity: int, draws: Draws) -> tf.Tensor:
    """Move the camera along a line within 45 degrees of the horizon."""
    reach, deviation = ((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5))[severity - 1]
    scale = scale_of(image)
    angle = draws.uniform((), -math.pi / 4, math.pi / 4)
    return moved_blur(image, reach * scale, deviation * scale, angle)


def zoom_blur(image: tf.Tensor, severity: int, draws: Draws) -> tf.Tensor:
    """Move the camera towards the scene: the mean of the image and its enlargements."""
    largest = (1.05, 1.10, 1.15, 1.20, 1.25)[severity - 1]
    factors = np.arange(1.01, largest + 0.005, 0.01)
    return (image + tf.reduce_sum(zoomed(image, factors), axis=0)) / (len(factors) + 1)
