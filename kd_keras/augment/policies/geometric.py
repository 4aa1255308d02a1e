"""The policy that moves pixels and keeps colours."""

from __future__ import annotations

import keras_cv

from kd_keras.augment.global_generator import ensure_global_generator
from kd_keras.augment.layers import RandomFlip, RandomResizedCrop
from kd_keras.augment.policy import Policy


def geometric(seed: int = 0, value_range: tuple[float, float] = (0, 255)) -> Policy:
    """Return flips, turns, changes of scale, shifts, and crops that are resized.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import geometric
    >>> geometric(seed=1)(tf.zeros((2, 32, 32, 3), tf.uint8), step=0).shape
    TensorShape([2, 32, 32, 3])
    """
    ensure_global_generator()
    layers = keras_cv.layers
    return Policy(
        [
            RandomFlip("horizontal", dtype="float32"),
            # In keras-cv a turn is given as a part of 2 pi: 15 degrees at most.
            layers.RandomRotation(factor=15 / 360, fill_mode="reflect", dtype="float32"),
            layers.RandomZoom(height_factor=(-0.1, 0.1), width_factor=(-0.1, 0.1), dtype="float32"),
            layers.RandomTranslation(height_factor=0.1, width_factor=0.1, dtype="float32"),
            RandomResizedCrop(area=(0.7, 1.0), dtype="float32"),
        ],
        seed=seed,
        value_range=value_range,
        name="geometric",
    )
