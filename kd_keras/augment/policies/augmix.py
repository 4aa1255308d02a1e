"""The policy of images mixed with chains of changes of themselves."""

from __future__ import annotations

from typing import Any

import keras_cv

from kd_keras.arguments import check_number
from kd_keras.augment.global_generator import ensure_global_generator
from kd_keras.augment.layers import AugMix, Equalize, Posterize
from kd_keras.augment.policies.standard import standard_layers
from kd_keras.augment.policy import Policy


def augmix(
    seed: int = 0,
    value_range: tuple[float, float] = (0, 255),
    width: int = 3,
    magnitude: float = 0.3,
) -> Policy:
    """Return the standard policy followed by `AugMix` of nine changes.

    The changes are those of the paper (Hendrycks et al., arXiv:1912.02781): none is among the
    corruptions of CIFAR-10-C, which stay unseen for a test of robustness.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.
        width: Chains for each image, at least 1.
        magnitude: Strength of the changes, in `(0, 1]`; at 1, turns reach 30 degrees, shifts and
            shears 0.3 of the size, and 4 bits of a colour remain.

    Raises:
        ValueError: If `width` or `magnitude` is out of range.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import augmix
    >>> augmix(seed=1)(tf.zeros((2, 32, 32, 3), tf.uint8), step=0).shape
    TensorShape([2, 32, 32, 3])
    """
    remedy = "For no change at all use kd_keras.augment.standard."
    check_number("magnitude", magnitude, above=0, high=1, remedy=remedy)
    return Policy(
        [*standard_layers(), AugMix(_changes(float(magnitude)), width=width)],
        seed=seed,
        value_range=value_range,
        name="augmix",
        layer_range=(0, 255),
    )


def _changes(magnitude: float) -> list[Any]:
    ensure_global_generator()
    layers = keras_cv.layers
    same: dict[str, Any] = {"dtype": "float32"}
    full: dict[str, Any] = {"value_range": (0, 255), **same}
    return [
        layers.AutoContrast(**full),
        Equalize(rate=1.0, **full),
        Posterize(bits=(8 - max(1, round(4 * magnitude)), 7), **full),
        layers.RandomRotation(factor=magnitude * 30 / 360, **same),
        # Inverts what is brighter than a threshold, from 255 (nothing) down.
        layers.Solarization(threshold_factor=(255 * (1 - magnitude), 255), **full),
        layers.RandomShear(x_factor=0.3 * magnitude, **same),
        layers.RandomShear(y_factor=0.3 * magnitude, **same),
        layers.RandomTranslation(height_factor=0.3 * magnitude, width_factor=0.0, **same),
        layers.RandomTranslation(height_factor=0.0, width_factor=0.3 * magnitude, **same),
    ]
