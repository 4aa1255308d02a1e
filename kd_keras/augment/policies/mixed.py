"""The policies that show two examples in one view."""

from __future__ import annotations

from kd_keras.augment.layers import CutMix, FMix, MixUp
from kd_keras.augment.policies.standard import standard_layers
from kd_keras.augment.policy import Policy


def mixup(seed: int = 0, value_range: tuple[float, float] = (0, 255), alpha: float = 0.2) -> Policy:
    """Return the standard policy followed by `MixUp`.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.
        alpha: See `MixUp`.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import mixup
    >>> batch = {"images": tf.zeros((4, 32, 32, 3), tf.uint8), "labels": tf.range(4)}
    >>> sorted(mixup(seed=1)(batch, step=0))
    ['images', 'labels', 'second_labels', 'share']
    """
    return Policy(
        [*standard_layers(), MixUp(alpha)], seed=seed, value_range=value_range, name="mixup"
    )


def cutmix(
    seed: int = 0, value_range: tuple[float, float] = (0, 255), alpha: float = 1.0
) -> Policy:
    """Return the standard policy followed by `CutMix`.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.
        alpha: See `CutMix`.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import cutmix
    >>> batch = {"images": tf.zeros((4, 32, 32, 3), tf.uint8), "labels": tf.range(4)}
    >>> cutmix(seed=1)(batch, step=0)["images"].dtype
    tf.uint8
    """
    return Policy(
        [*standard_layers(), CutMix(alpha)], seed=seed, value_range=value_range, name="cutmix"
    )


def fmix(seed: int = 0, value_range: tuple[float, float] = (0, 255), alpha: float = 1.0) -> Policy:
    """Return the standard policy followed by `FMix`.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.
        alpha: See `FMix`.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import fmix
    >>> batch = {"images": tf.zeros((4, 32, 32, 3), tf.uint8), "labels": tf.range(4)}
    >>> fmix(seed=1)(batch, step=0)["images"].dtype
    tf.uint8
    """
    return Policy(
        [*standard_layers(), FMix(alpha)], seed=seed, value_range=value_range, name="fmix"
    )
