"""The policy for digits and other characters."""

from __future__ import annotations

import keras_cv

from kd_keras.augment.global_generator import ensure_global_generator
from kd_keras.augment.layers import GaussianNoise
from kd_keras.augment.policy import Policy

_LARGEST_ROTATION = 10 / 360


def digits(seed: int = 0, value_range: tuple[float, float] = (0, 255)) -> Policy:
    """Return small shifts, turns, and changes of size, and light noise.

    No flip and no turn beyond 10 degrees: a mirrored 2 is no digit, and a 6 upside down is a 9.
    What is shifted in is the low end of the range, the background.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import digits
    >>> digits(seed=1)(tf.zeros((2, 8, 8, 1)), step=0).shape
    TensorShape([2, 8, 8, 1])
    """
    ensure_global_generator()
    layers = keras_cv.layers
    background = {"fill_mode": "constant", "fill_value": 0.0, "dtype": "float32"}
    return Policy(
        [
            # In keras-cv a turn is given as a part of 2 pi.
            layers.RandomRotation(factor=_LARGEST_ROTATION, **background),
            layers.RandomZoom(height_factor=(-0.1, 0.1), width_factor=(-0.1, 0.1), **background),
            layers.RandomTranslation(height_factor=0.1, width_factor=0.1, **background),
            GaussianNoise(stddev=(0.0, 0.03), dtype="float32"),
        ],
        seed=seed,
        value_range=value_range,
        name="digits",
        layer_range=(0, 255),
    )
