"""Layers that leave every pixel where it is or hide it, and layers that need three channels."""

from __future__ import annotations

import sys
from typing import Any

import keras
import tensorflow as tf

_IN_PLACE = (
    "AutoContrast",
    "ChannelShuffle",
    "Dropout",
    "Equalization",
    "GaussianDropout",
    "GaussianNoise",
    "Grayscale",
    "GridMask",
    "Normalization",
    "Posterization",
    "RandomBrightness",
    "RandomChannelShift",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomCutout",
    "RandomErasing",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomJpegQuality",
    "RandomPosterization",
    "RandomSaturation",
    "RandomSharpness",
    "Rescaling",
    "Solarization",
    "SpatialDropout2D",
)
_THREE_CHANNELS = (
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomHue",
    "RandomSaturation",
)


def keeps_positions(layer: Any) -> bool:
    """Return whether `layer` is known to move no pixel, so that per-pixel labels stay right.

    A pixel that is hidden keeps its label, as one that is blurred does.
    """
    return getattr(layer, "keeps_positions", False) or isinstance(layer, _classes(_IN_PLACE))


def needs_three_channels(layer: Any) -> bool:
    """Return whether `layer` is a colour layer that takes RGB images alone."""
    return isinstance(layer, _classes(_THREE_CHANNELS))


def on_rgb(layer: Any, images: tf.Tensor, call: Any) -> tf.Tensor:
    """Return `call(images)`; a grey image goes through an RGB layer as three equal channels.

    Equal channels stay equal, up to rounding, so one of them is the result.
    """
    channels = images.shape[-1]
    if channels == 3 or channels is None or not needs_three_channels(layer):
        return call(images)
    if channels != 1:
        raise ValueError(
            f"{type(layer).__name__} needs images of 1 or 3 channels. Received: images of shape "
            f"{tuple(images.shape)}. Leave the colour layers out of the policy for such images."
        )
    return call(tf.repeat(images, 3, axis=-1))[..., :1]


def _classes(names: tuple[str, ...]) -> tuple[type, ...]:
    # A layer of keras-cv can only be here if keras-cv was imported, which this module must not do.
    homes = [keras.layers]
    if "keras_cv" in sys.modules:
        homes.append(sys.modules["keras_cv"].layers)
    return tuple(getattr(home, name) for home in homes for name in names if hasattr(home, name))
