"""The policy of many different changes, a few for each image."""

from __future__ import annotations

from kd_keras.arguments import check_number
from kd_keras.augment.layers import RandomSubset
from kd_keras.augment.policies.standard import standard_layers
from kd_keras.augment.policies.transforms import transforms
from kd_keras.augment.policy import Policy


def strong(
    seed: int = 0,
    value_range: tuple[float, float] = (0, 255),
    count: int = 2,
    magnitude: float = 0.5,
) -> Policy:
    """Return the standard policy followed by `count` of ten changes for each image.

    In the manner of RandAugment (Cubuk et al., arXiv:1909.13719): one magnitude for all changes.
    Each image draws its own strength from 0 up to that magnitude, or its negative.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.
        count: Changes for each image, from 0 to 10.
        magnitude: Strength of the changes, in `[0, 1]`; at 1, turns reach 30 degrees, shifts and
            shears 0.3 of the size, and colours vanish.

    Raises:
        ValueError: If `count` or `magnitude` is out of range.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import strong
    >>> strong(seed=1)(tf.zeros((2, 32, 32, 3), tf.uint8), step=0).shape
    TensorShape([2, 32, 32, 3])
    """
    check_number(
        "magnitude", magnitude, above=0, high=1, remedy="For no change at all use count=0."
    )
    return Policy(
        [*standard_layers(), RandomSubset(transforms(float(magnitude)).values(), count=count)],
        seed=seed,
        value_range=value_range,
        name="strong",
        layer_range=(0, 255),
    )
