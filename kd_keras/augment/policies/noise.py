"""The policy of sensor-like noise."""

from __future__ import annotations

from kd_keras.augment.layers import GaussianNoise, SaltAndPepper
from kd_keras.augment.policy import Policy


def noise(seed: int = 0, value_range: tuple[float, float] = (0, 255)) -> Policy:
    """Return Gaussian and salt-and-pepper noise of a strength drawn for each image.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import noise
    >>> noise(seed=1)(tf.zeros((2, 32, 32, 3), tf.uint8), step=0).shape
    TensorShape([2, 32, 32, 3])
    """
    return Policy(
        [
            GaussianNoise(stddev=(0.0, 0.08), dtype="float32"),
            SaltAndPepper(amount=(0.0, 0.03), dtype="float32"),
        ],
        seed=seed,
        value_range=value_range,
        name="noise",
        layer_range=(0, 255),
    )
