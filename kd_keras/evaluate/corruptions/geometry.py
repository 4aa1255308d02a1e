"""Read an image between its pixels, filter it, and make smooth random fields."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from kd_keras.evaluate.corruptions.draws import Draws

# The reference chose its lengths, in pixels, for images of this size.
_REFERENCE_SIZE = 32


def scale_of(image: tf.Tensor) -> float:
    """Return by how much lengths in pixels differ from those for 32x32 images."""
    return min(image.shape[0], image.shape[1]) / _REFERENCE_SIZE


def grid(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return row and column of every pixel, each (height, width)."""
    rows, columns = (tf.range(size, dtype=tf.float32) for size in image.shape[:2])
    return tuple(tf.meshgrid(rows, columns, indexing="ij"))


def read_at(image: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Return the image at real-valued places, bilinearly; outside it continues as in a mirror."""
    height, width = image.shape[:2]
    rows, columns = _mirrored(rows, height), _mirrored(columns, width)
    top, left = tf.floor(rows), tf.floor(columns)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    top, left = tf.cast(top, tf.int32), tf.cast(left, tf.int32)
    bottom, end = tf.minimum(top + 1, height - 1), tf.minimum(left + 1, width - 1)

    def pixels(row: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
        return tf.gather_nd(image, tf.stack([row, column], axis=-1))

    upper = pixels(top, left) * (1 - right) + pixels(top, end) * right
    lower = pixels(bottom, left) * (1 - right) + pixels(bottom, end) * right
    return upper * (1 - down) + lower * down


def _mirrored(places: Any, size: int) -> Any:
    """Return the places, an array or a tensor, that mirrors at both edges show at `places`."""
    period = max(2 * (size - 1), 1)
    places = places % period
    least = np.minimum if isinstance(places, np.ndarray) else tf.minimum
    return least(places, period - places) if size > 1 else 0 * places


def filtered(image: tf.Tensor, kernel: np.ndarray) -> tf.Tensor:
    """Return the image convolved with a kernel of odd sides; outside it goes on as in a mirror."""
    above, before = (side // 2 for side in kernel.shape)
    height, width, channels = image.shape
    # Places and not tf.pad: a kernel may be larger than a small image, which tf.pad refuses.
    rows = _mirrored(np.arange(-above, height + above), height)
    columns = _mirrored(np.arange(-before, width + before), width)
    padded = tf.gather(tf.gather(image, rows, axis=0), columns, axis=1)
    weights = np.repeat(kernel[:, :, None, None], channels, axis=2).astype("float32")
    return tf.nn.depthwise_conv2d(padded[None], weights, [1, 1, 1, 1], "VALID")[0]


def gaussian_kernel(deviation: float) -> np.ndarray:
    """Return a normal distribution on a square of pixels that holds four deviations."""
    reach = max(1, math.ceil(4 * deviation))
    line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(deviation, 1e-6)) ** 2)
    return np.outer(line, line) / line.sum() ** 2


def disk_kernel(radius: float, deviation: float) -> np.ndarray:
    """Return a disk of whole pixels, softened by a normal distribution of 3x3 pixels.

    The larger one, of 5x5 pixels, goes with disks of more than 8 pixels, as in the reference.
    """
    reach = max(8, math.ceil(radius))
    places = np.arange(-reach, reach + 1)
    disk = (places[:, None] ** 2 + places[None, :] ** 2 <= radius**2).astype("float64")
    near = 1 if radius <= 8 else 2
    line = np.exp(-0.5 * (np.arange(-near, near + 1) / max(deviation, 1e-6)) ** 2)
    line /= line.sum()
    soft = np.pad(disk / disk.sum(), near)
    for axis in (0, 1):
        soft = np.apply_along_axis(np.convolve, axis, soft, line, mode="same")
    # Only what is not zero: the rest would cost time.
    used = np.flatnonzero(soft.sum(axis=0))
    return soft[used[0] : used[-1] + 1, used[0] : used[-1] + 1]


def box_resized(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Return the image in another size; each new pixel is the mean of those whose middle it covers.

    The box filter of Pillow, with which the reference pixelates: unlike a mean over areas it takes
    a pixel whole or not at all.
    """
    rows = tf.constant(_box_weights(image.shape[0], height))
    columns = tf.constant(_box_weights(image.shape[1], width))
    return tf.einsum("ih,hwc,jw->ijc", rows, image, columns)


def _box_weights(size: int, new_size: int) -> np.ndarray:
    """Return `(new_size, size)` weights whose rows sum to one."""
    step = size / new_size
    middles = (np.arange(new_size) + 0.5) * step
    distance = (np.arange(size) + 0.5 - middles[:, None]) / max(step, 1.0)
    weights = ((distance > -0.5) & (distance <= 0.5)).astype("float32")
    return weights / weights.sum(axis=1, keepdims=True)


def moved_blur(
    image: tf.Tensor, reach: float, deviation: float, angle: tf.Tensor, taps: int = 16
) -> tf.Tensor:
    """Return the image as it moves along `angle`, seen ever less: weights are half a normal."""
    places = np.linspace(0, reach, taps)
    weights = np.exp(-0.5 * (places / deviation) ** 2)
    rows, columns = grid(image)
    along = tf.constant(places[:, None, None], tf.float32)
    # All places at once: a graph of a sixteenth of the size, which is built in that time too.
    moved = read_at(image, rows + along * tf.sin(angle), columns + along * tf.cos(angle))
    return tf.tensordot(tf.constant(weights / weights.sum(), tf.float32), moved, axes=1)


def zoomed(image: tf.Tensor, factors: float | np.ndarray) -> tf.Tensor:
    """Return the middle of the image, larger by a factor, in the size of the image.

    Of several factors `(n,)`, all the images `(n, height, width, channels)`.
    """
    factor = np.asarray(factors, "float32")[..., None, None]
    rows, columns = grid(image)
    height, width = image.shape[:2]
    middle_row, middle_column = (height - 1) / 2, (width - 1) / 2
    return read_at(
        image,
        middle_row + (rows - middle_row) / factor,
        middle_column + (columns - middle_column) / factor,
    )


def cloud(image: tf.Tensor, decay: float, draws: Draws) -> tf.Tensor:
    """Return a field (height, width, 1) from 0 to 1: noise on grids of 2, 4, 8, ... places a side.

    Each finer grid counts `decay` times less, as in a plasma fractal.
    """
    height, width = image.shape[:2]
    field = tf.zeros((height, width, 1))
    for level in range(1, math.ceil(math.log2(max(height, width, 2))) + 1):
        coarse = draws.uniform((2**level, 2**level, 1), -1.0, 1.0)
        fine = tf.image.resize(coarse, (height, width), method="bicubic")
        field += fine / decay ** (level - 1)
    field -= tf.reduce_min(field)
    return tf.math.divide_no_nan(field, tf.reduce_max(field))
