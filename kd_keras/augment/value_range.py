"""Images come in the range that a policy expects, and leave in it, in their own dtype."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kd_keras.augment.draws import unfolded

# Room for what earlier float arithmetic may add at the ends of the range, as a part of its width.
_TOLERANCE = 1e-3


def into_range(images: Any, value_range: tuple[float, float]) -> tf.Tensor:
    """Return `images` as float32 after checking that they are in `value_range`.

    In a graph the check is an assertion that the returned tensor depends on.
    """
    if len(images.shape) != 4:
        raise ValueError(
            "A policy augments a batch of images of shape (batch, height, width, channels). "
            f"Received: images of shape {tuple(images.shape)}. Give grey images their channel: "
            "x[..., None]."
        )
    low, high = value_range
    if images.dtype.is_integer and high <= 1:
        raise ValueError(
            f"Images of dtype {images.dtype.name} do not fit value_range={value_range}. Pass "
            "Policy(..., value_range=(0, 255)), or rescale the images to floats first."
        )
    values = tf.cast(images, tf.float32)
    least, most = tf.reduce_min(values), tf.reduce_max(values)
    slack = _TOLERANCE * (high - low)
    # Written so that NaN fails too; an empty batch (least = inf, most = -inf) passes.
    checks = [
        (
            tf.logical_and(least >= low - slack, most <= high + slack),
            f"images are outside value_range={value_range}. Pass Policy(..., value_range=...) with "
            "their range, or rescale them. Received: images from",
        )
    ]
    if images.dtype.is_floating and high > 1:
        in_unit_range = tf.logical_and(least >= 0.0, most <= 1.0)
        checks.append(
            (
                tf.logical_not(tf.logical_and(in_unit_range, most > 0.0)),
                f"images look like 0..1, but the policy has value_range={value_range}. Pass "
                "Policy(..., value_range=(0, 1)), or multiply the images by 255. Received: images "
                "from",
            )
        )
    if tf.executing_eagerly():
        for passed, message in checks:
            if not passed:
                raise ValueError(
                    f"{message[0].upper()}{message[1:]} {float(least)} to {float(most)}"
                )
        return values
    assertions = [
        # The Distiller turns assertions with this marker into a ValueError.
        tf.debugging.Assert(passed, [f"kd_keras: {message}", least, "to", most])
        for passed, message in checks
    ]
    with tf.control_dependencies(assertions):
        return tf.identity(values)


def scale(images: tf.Tensor, source: tuple[float, float], target: tuple[float, float]) -> tf.Tensor:
    """Return `images` mapped linearly from one range to another."""
    if source == target:
        return images
    factor = (target[1] - target[0]) / (source[1] - source[0])
    return unfolded((images - source[0]) * factor + target[0])


def clip(images: tf.Tensor, value_range: tuple[float, float]) -> tf.Tensor:
    """Return `images` with no value outside of `value_range`."""
    return tf.clip_by_value(images, float(value_range[0]), float(value_range[1]))


def as_dtype(images: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Return float32 `images` in `dtype`, rounded if that holds whole numbers."""
    if dtype.is_integer:
        return tf.saturate_cast(tf.round(images), dtype)
    return tf.cast(images, dtype)
