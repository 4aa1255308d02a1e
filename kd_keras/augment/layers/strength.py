"""How strong a layer acts: one number for all images, or a range from which each draws its own."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kd_keras.arguments import is_integer, is_number, plain


def checked_strength(
    argument: str, value: Any, least: float, most: float, meaning: str, whole: bool = False
) -> Any:
    """Return `value` as a number or a list `[low, high]`, or raise naming the `argument`.

    Args:
        argument: Its name, for the message.
        value: A number or `(low, high)`.
        least: Smallest number that is allowed.
        most: Largest number that is allowed.
        meaning: What the number is, for the message.
        whole: Whether only integers are allowed.
    """
    is_one = is_integer if whole else is_number
    bounds = [plain(v) for v in (value if isinstance(value, (tuple, list)) else [value, value])]
    is_pair = len(bounds) == 2 and all(map(is_one, bounds))
    if not is_pair or not least <= bounds[0] <= bounds[1] <= most:
        kind = "an integer" if whole else "a number"
        limits = f"in [{least:g}, {most:g}]" if most < float("inf") else f"from {least:g} upwards"
        raise ValueError(
            f"`{argument}` must be {kind} {limits}, {meaning}, or (low, high) of two such numbers. "
            f"Received: {argument}={value!r}"
        )
    return bounds if isinstance(value, (tuple, list)) else bounds[0]


def draw_strength(generator: Any, strength: Any, images: tf.Tensor) -> tf.Tensor:
    """Return the strength for each image, `(batch, 1, 1, 1)` float32, or a scalar."""
    if not isinstance(strength, list):
        return tf.constant(strength, tf.float32)
    return generator.uniform([tf.shape(images)[0], 1, 1, 1], strength[0], strength[1])


def draw_whole(generator: Any, strength: Any, images: tf.Tensor) -> tf.Tensor:
    """Return an integer for each image, `(batch, 1, 1, 1)` int32, both ends included."""
    low, high = strength if isinstance(strength, list) else (strength, strength)
    return generator.uniform([tf.shape(images)[0], 1, 1, 1], low, high + 1, tf.int32)
