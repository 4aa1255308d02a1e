"""The policies that hide parts of the image."""

from __future__ import annotations

import keras_cv

from kd_keras.arguments import check_number
from kd_keras.augment.global_generator import ensure_global_generator
from kd_keras.augment.layers import GridMask
from kd_keras.augment.policies.standard import standard_layers
from kd_keras.augment.policy import Policy

_GREY = 127.5


def cutout(seed: int = 0, value_range: tuple[float, float] = (0, 255), side: float = 0.5) -> Policy:
    """Return the standard policy followed by one grey rectangle, centred anywhere, in each image.

    DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout",
    arXiv:1708.04552; they hide 16 x 16 of 32 x 32 pixels of CIFAR-10.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.
        side: Sides of the rectangle as a part of those of the image, in `[0, 1]`. What falls
            outside of the image is lost.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import cutout
    >>> cutout(seed=1)(tf.zeros((2, 32, 32, 3), tf.uint8), step=0).shape
    TensorShape([2, 32, 32, 3])
    """
    check_number("side", side, low=0, high=1)
    ensure_global_generator()
    rectangle = keras_cv.layers.RandomCutout(
        (side, side), (side, side), fill_value=_GREY, dtype="float32"
    )
    return Policy(
        [*standard_layers(), rectangle],
        seed=seed,
        value_range=value_range,
        name="cutout",
        layer_range=(0, 255),
    )


def gridmask(
    seed: int = 0, value_range: tuple[float, float] = (0, 255), ratio: float = 0.6
) -> Policy:
    """Return the standard policy followed by `GridMask` in grey.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.
        ratio: See `GridMask`.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import gridmask
    >>> gridmask(seed=1)(tf.zeros((2, 32, 32, 3), tf.uint8), step=0).shape
    TensorShape([2, 32, 32, 3])
    """
    return Policy(
        [*standard_layers(), GridMask(ratio=ratio, dtype="float32")],
        seed=seed,
        value_range=value_range,
        name="gridmask",
        layer_range=(0, 255),
    )
