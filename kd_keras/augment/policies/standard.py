"""The usual policy for small natural images."""

from __future__ import annotations

from typing import Any

from kd_keras.augment.global_generator import ensure_global_generator
from kd_keras.augment.layers import RandomFlip, RandomShift
from kd_keras.augment.policy import Policy


def standard(seed: int = 0, value_range: tuple[float, float] = (0, 255)) -> Policy:
    """Return left-right flips and shifts by whole pixels, up to an eighth of the size.

    On 32x32 images that is the CIFAR recipe of padding by 4 and cropping at random (He et al.,
    arXiv:1512.03385), with the border reflected.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import standard
    >>> standard(seed=1)(tf.zeros((2, 32, 32, 3), tf.uint8), step=0).dtype
    tf.uint8
    """
    return Policy(standard_layers(), seed=seed, value_range=value_range, name="standard")


def standard_layers() -> list[Any]:
    """Return new layers of the standard policy, for policies that build on it."""
    ensure_global_generator()
    return [
        RandomFlip("horizontal", dtype="float32"),
        # Whole pixels: a bilinear shift by half a pixel would blur.
        RandomShift(height_factor=0.125, width_factor=0.125, dtype="float32"),
    ]
