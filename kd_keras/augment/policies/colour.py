"""The policy that changes colours and moves nothing."""

from __future__ import annotations

import keras_cv

from kd_keras.augment.global_generator import ensure_global_generator
from kd_keras.augment.policy import Policy


def colour(seed: int = 0, value_range: tuple[float, float] = (0, 255)) -> Policy:
    """Return changes of brightness, contrast, saturation and hue.

    Grey images have brightness and contrast alone; saturation and hue leave them as they are.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import colour
    >>> colour(seed=1)(tf.zeros((2, 32, 32, 3), tf.uint8), step=0).shape
    TensorShape([2, 32, 32, 3])
    """
    ensure_global_generator()
    layers = keras_cv.layers
    return Policy(
        [
            layers.RandomBrightness(factor=0.2, value_range=(0, 1), dtype="float32"),
            layers.RandomContrast(value_range=(0, 1), factor=0.3, dtype="float32"),
            # 0.5 leaves the saturation; s / (1 - s) multiplies it: from 0.67 to 1.5.
            layers.RandomSaturation(factor=(0.4, 0.6), dtype="float32"),
            # A part of half the circle: 9 degrees at most.
            layers.RandomHue(factor=0.05, value_range=(0, 1), dtype="float32"),
        ],
        seed=seed,
        value_range=value_range,
        name="colour",
        layer_range=(0, 1),
    )
