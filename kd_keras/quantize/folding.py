"""Merge a batch normalisation into the kernel and bias of the layer before it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


def affine_of(norm: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """Return what a batch normalisation does at inference: `scale * x + offset` for each channel.

    ```
    scale = gamma / sqrt(variance + epsilon),   offset = beta - mean * scale
    ```

    Args:
        norm: A built layer.

    Returns:
        Two float64 arrays `(channels,)`.

    Reference: Jacob et al., CVPR 2018, arXiv:1712.05877, section 3.2, equation 14.
    """
    mean, variance = _value(norm.moving_mean), _value(norm.moving_variance)
    scale = 1.0 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        scale = scale * _value(norm.gamma)
    offset = -mean * scale
    if norm.center:
        offset = offset + _value(norm.beta)
    return scale, offset


def affine_of_statistics(layer: keras.layers.Normalization) -> tuple[np.ndarray, np.ndarray]:
    """Return what a `keras.layers.Normalization` does to each channel: `scale * x + offset`.

    Args:
        layer: A built layer that normalises the last axis, or all values alike.

    Returns:
        Two float64 arrays `(channels,)`.
    """
    channels = layer.get_build_config()["input_shape"][-1]
    mean, variance = _value(layer.mean).reshape(-1), _value(layer.variance).reshape(-1)
    scale = 1.0 / np.maximum(np.sqrt(variance), keras.config.epsilon())
    return np.broadcast_to(scale, channels), np.broadcast_to(-mean * scale, channels)


def folded(
    kernel: Any,
    bias: Any,
    norm: keras.layers.BatchNormalization | None,
    *,
    is_depthwise: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the kernel and the bias that do what a layer and its batch normalisation do.

    Args:
        kernel: Array whose last axis are the output channels.
        bias: Array `(output channels,)`, or None for none.
        norm: The batch normalisation behind the layer, or None for none.
        is_depthwise: Whether the output channels are the last two axes, as in a depthwise kernel
            `(height, width, channels, multiplier)`.

    Returns:
        `(kernel, bias)`, float32; the bias is zeros where there is neither one nor a `norm`.
    """
    kernel = _value(kernel)
    channels = kernel.shape[-2:] if is_depthwise else kernel.shape[-1:]
    offset = np.zeros(np.prod(channels)) if bias is None else _value(bias)
    if norm is not None:
        scale, norm_offset = affine_of(norm)
        kernel = kernel * scale.reshape(channels)
        offset = offset * scale + norm_offset
    return kernel.astype("float32"), offset.astype("float32")


def _value(variable: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(variable), "float64")
