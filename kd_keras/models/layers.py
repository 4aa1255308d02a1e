"""The two ends that every architecture shares: raw pixels in, logits out."""

from __future__ import annotations

from typing import Any

import keras

from kd_keras.models.arguments import he_normal


def image_input(input_shape: tuple[int, int, int]) -> tuple[Any, Any]:
    """Return the `image` input and the same image scaled from 0..255 to -1..1.

    The scaling is part of the model, so the exported file takes raw pixels. It runs in float32
    under every dtype policy: bfloat16 keeps eight bits of a pixel, which augmented pixels exceed.
    """
    image = keras.Input(shape=input_shape, dtype="float32", name="image")
    scaled = keras.layers.Rescaling(
        scale=1.0 / 127.5, offset=-1.0, dtype="float32", name="rescaling"
    )(image)
    return image, scaled


def logits_output(
    features: Any,
    num_classes: int,
    seed: int | None,
    regularizer: keras.regularizers.Regularizer | None,
) -> Any:
    """Return the linear `logits` layer on `features`, in float32 under every dtype policy."""
    return keras.layers.Dense(
        num_classes,
        kernel_initializer=he_normal(seed, "logits"),
        kernel_regularizer=regularizer,
        dtype="float32",
        name="logits",
    )(features)
