"""The policy of images out of focus."""

from __future__ import annotations

from kd_keras.augment.layers import GaussianBlur
from kd_keras.augment.policies.standard import standard_layers
from kd_keras.augment.policy import Policy


def blur(seed: int = 0, value_range: tuple[float, float] = (0, 255), sigma: float = 1.0) -> Policy:
    """Return the standard policy followed by a Gaussian blur of a width drawn for each image.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.
        sigma: Largest standard deviation of the Gaussian, in pixels, >= 0.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import blur
    >>> blur(seed=1)(tf.zeros((2, 32, 32, 3), tf.uint8), step=0).shape
    TensorShape([2, 32, 32, 3])
    """
    return Policy(
        [*standard_layers(), GaussianBlur((0.0, sigma), dtype="float32")],
        seed=seed,
        value_range=value_range,
        name="blur",
        layer_range=(0, 255),
    )
