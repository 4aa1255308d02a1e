"""Which layers can be quantised, and which of them TFLite runs as one operator."""

from __future__ import annotations

import keras
from keras import activations, layers

from kd_keras.quantize.layers import ROUNDED_KERNELS, FakeQuantize

WEIGHTED = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D, layers.Dense)
_MERGING = (layers.Add, layers.Subtract, layers.Multiply)
# Their outputs have a range of their own, and no activation runs in the same operator.
_ALONE = (layers.Concatenate, layers.GlobalAveragePooling2D, layers.LeakyReLU)
_ACTIVATIONS = (layers.Activation, layers.ReLU, layers.Softmax)
_AFFINE = (layers.BatchNormalization, layers.Rescaling)
# They hand on values of their input, or means of them: the levels stay the same.
KEEPING = (
    layers.MaxPooling2D,
    layers.AveragePooling2D,
    layers.GlobalMaxPooling2D,
    layers.Flatten,
    layers.Reshape,
    layers.Permute,
    layers.ZeroPadding2D,
    layers.Cropping2D,
    layers.Identity,
    layers.ActivityRegularization,
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.GaussianDropout,
    layers.GaussianNoise,
)
_SUPPORTED = (*WEIGHTED, *_AFFINE, *_ACTIVATIONS, *_MERGING, *_ALONE, *KEEPING)
_FUSED = (activations.relu, activations.relu6)
# TFLite's int8 kernels write these with scales that cannot be chosen: 1/256 and 1/128.
_KNOWN_RANGES = {
    activations.softmax: (0.0, 255 / 256),
    activations.sigmoid: (0.0, 255 / 256),
    activations.tanh: (-1.0, 127 / 128),
}


def is_fused(function: object) -> bool:
    """Whether TFLite runs an activation function in the operator before it."""
    return function in _FUSED


def known_range(layer: keras.Layer) -> tuple[float, float] | None:
    """Return the range that TFLite prescribes for a layer's output, or None for a free one."""
    if isinstance(layer, layers.Softmax):
        return _KNOWN_RANGES[activations.softmax]
    return _KNOWN_RANGES.get(getattr(layer, "activation", None))


def runs_in_the_operator_before(layer: object) -> bool:
    """Whether a layer is an activation that TFLite runs in the operator before it."""
    return isinstance(layer, layers.ReLU) or (
        isinstance(layer, layers.Activation) and is_fused(layer.activation)
    )


def takes_an_activation(layer: object) -> bool:
    """Whether TFLite's operator for a layer runs the activation behind it too."""
    return isinstance(layer, (*WEIGHTED, *_MERGING, layers.BatchNormalization))


def obstacle(layer: keras.Layer, is_folded: bool) -> str | None:
    """Return why a layer cannot be quantised, or None if it can.

    Args:
        layer: A layer, or any other operation of a functional model.
        is_folded: Whether it is a batch normalisation that goes into the layer before it.
    """
    if not isinstance(layer, keras.Layer):
        return "an operation and no layer; use the layer of that name, such as keras.layers.Add"
    if isinstance(layer, (FakeQuantize, *ROUNDED_KERNELS)):
        return "quantisation-aware already"
    if type(layer) not in _SUPPORTED:
        return "no rule for this kind of layer"
    if getattr(layer, "quantization_mode", None) is not None:
        return f"its weights are quantised already, as {layer.quantization_mode}"
    if getattr(layer, "lora_enabled", False):
        return "it has LoRA weights; merge them first"
    if getattr(layer, "data_format", "channels_last") == "channels_first":
        return "channels_first; TFLite takes channels_last"
    if any(rate != 1 for rate in getattr(layer, "dilation_rate", ())):
        return "dilated; TFLite's converter leaves its arithmetic in float"
    if isinstance(layer, layers.BatchNormalization):
        return _norm_obstacle(layer, is_folded)
    if isinstance(layer, layers.Rescaling):
        plain = all(isinstance(v, (int, float)) for v in (layer.scale, layer.offset))
        return None if plain else "scale and offset must be plain numbers"
    return _activation_obstacle(layer)


def _norm_obstacle(norm: keras.layers.BatchNormalization, is_folded: bool) -> str | None:
    rank = norm.input_spec.ndim
    if norm.axis not in (-1, rank - 1):
        return "it must normalise the last axis"
    if not is_folded and rank != 4:
        return "it follows no layer that it can be folded into, and its input is no image"
    return None


def _activation_obstacle(layer: keras.Layer) -> str | None:
    if isinstance(layer, layers.ReLU):
        is_plain = layer.max_value in (None, 6) and not layer.negative_slope and not layer.threshold
        return None if is_plain else "only a plain ReLU and a ReLU up to 6"
    if isinstance(layer, layers.Softmax):
        return None if layer.axis == -1 else "only over the last axis"
    function = getattr(layer, "activation", None)
    if function in (None, activations.linear, *_FUSED, *_KNOWN_RANGES):
        return None
    name = getattr(function, "__name__", type(function).__name__)
    return f"its activation {name!r}; relu, relu6, sigmoid, tanh, softmax and linear are supported"


def supported_names() -> str:
    """Return the supported layers' names, for error messages."""
    return ", ".join(sorted(kind.__name__ for kind in _SUPPORTED))
