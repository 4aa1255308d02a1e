"""The quantisation-aware layers that take the place of one layer of the student."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import numpy as np
from keras import layers

from kd_keras.quantize.folding import affine_of, affine_of_statistics, folded
from kd_keras.quantize.layers import (
    FakeQuantize,
    QuantizedConv2D,
    QuantizedConv2DTranspose,
    QuantizedDense,
    QuantizedDepthwiseConv2D,
    QuantizedEmbedding,
    QuantizedSilu,
    RoundedKernels,
)
from kd_keras.quantize.rules import is_affine_image, is_fused, is_ruled, is_scalar, known_range

Norm: TypeAlias = layers.BatchNormalization | None


_SEVERAL_KERNELS = (layers.EinsumDense, layers.MultiHeadAttention, layers.GroupQueryAttention)


def parts_of(layer: Any, norm: Norm, name: str) -> list[Any]:
    """Return the layers that do what `layer` does, to be called one behind the other.

    Args:
        layer: A built layer of the student, or another operation, which stays as it is.
        norm: The batch normalisation that is folded into it, or None.
        name: Name of the last of them.

    Returns:
        New layers in float32, with weights of their own where they have any. The output of the last
        one is not rounded yet; what is between them is.
    """
    if type(layer) in _SEVERAL_KERNELS:
        return [RoundedKernels(_copy(layer, f"{name}_inside"), name=name, dtype="float32")]
    # What derives from a layer may do something else than that.
    return _parts(layer, norm, name) if is_ruled(layer) else [_copy(layer, name)]


def _copy(layer: Any, name: str) -> Any:
    config = {**layer.get_config(), "name": name}
    if not isinstance(layer, keras.Layer):
        return type(layer).from_config(config)
    copy = type(layer).from_config({**config, "dtype": "float32"})
    if layer.weights:
        copy.build_from_config(layer.get_build_config())
        copy.set_weights(layer.get_weights())
    return copy


@functools.singledispatch
def _parts(layer: Any, norm: Norm, name: str) -> list[Any]:
    return [_copy(layer, name)]


@_parts.register
def _(layer: layers.Activation, norm: Norm, name: str) -> list[keras.Layer]:
    return [_activation(layer.activation, name)]


@_parts.register
def _(layer: layers.Embedding, norm: Norm, name: str) -> list[keras.Layer]:
    config = {**layer.get_config(), "embeddings_initializer": "zeros"}
    table = QuantizedEmbedding.from_config({**config, "name": name, "dtype": "float32"})
    table.build()
    table.set_weights(layer.get_weights())
    return [table]


@_parts.register
def _(layer: layers.Conv1D, norm: Norm, name: str) -> list[keras.Layer]:
    # TFLite runs it on images of height 1. They are rounded before they become sequences again.
    (size,), (stride,), (step,) = layer.kernel_size, layer.strides, layer.dilation_rate
    channels = layer.kernel.shape[1] * layer.groups
    is_causal = layer.padding == "causal"

    def build(name: str) -> keras.Layer:
        config = _without_initializers(layer, norm, name)
        config.update(
            kernel_size=(size, 1),
            strides=(stride, 1),
            dilation_rate=(step, 1),
            padding="valid" if is_causal else layer.padding,
        )
        return _with_weights(QuantizedConv2D(**config), layer, layer.kernel[:, None], norm)

    padding = [layers.ZeroPadding2D(((step * (size - 1), 0), (0, 0)))] if is_causal else []
    return [
        layers.Reshape((-1, 1, channels), name=f"{layer.name}_image"),
        *padding,
        *_with_activation(build, layer, f"{layer.name}_inside"),
        _rounding(layer, f"{layer.name}_range"),
        layers.Reshape((-1, layer.filters), name=name),
    ]


@_parts.register
def _(layer: layers.Conv2DTranspose, norm: Norm, name: str) -> list[keras.Layer]:
    # Its kernel has the channels that it makes before those that it takes.
    kernel = np.moveaxis(np.asarray(layer.kernel), 2, -1)

    def build(name: str) -> keras.Layer:
        new = QuantizedConv2DTranspose(**_without_initializers(layer, norm, name))
        values, bias = folded(kernel, layer.bias, norm)
        new.build((None, None, None, values.shape[2]))
        new.set_weights([np.moveaxis(values, -1, 2), bias])
        return new

    return _with_activation(build, layer, name, takes_it=False)


@_parts.register
def _(layer: layers.Normalization, norm: Norm, name: str) -> list[keras.Layer]:
    if not is_affine_image(layer):
        return [_copy(layer, name)]
    return [_scaled_channels(*affine_of_statistics(layer), layer.trainable, name)]


def _of_one_kernel(quantized: Any) -> Callable[..., list[keras.Layer]]:
    """Return what makes of a layer one of the class `quantized`."""

    def parts(layer: Any, norm: Norm, name: str) -> list[keras.Layer]:
        def build(name: str) -> keras.Layer:
            config = _without_initializers(layer, norm, name)
            return _with_weights(quantized(**config), layer, layer.kernel, norm)

        return _with_activation(build, layer, name)

    return parts


_parts.register(layers.Conv2D, _of_one_kernel(QuantizedConv2D))
_parts.register(layers.Dense, _of_one_kernel(QuantizedDense))
_parts.register(layers.DepthwiseConv2D, _of_one_kernel(QuantizedDepthwiseConv2D))


@_parts.register
def _(layer: layers.SeparableConv2D, norm: Norm, name: str) -> list[keras.Layer]:
    # TFLite has no operator for it: it becomes two, with a rounded image between them.
    depthwise = QuantizedDepthwiseConv2D(
        layer.kernel_size,
        layer.strides,
        layer.padding,
        layer.depth_multiplier,
        dilation_rate=layer.dilation_rate,
        depthwise_regularizer=layer.depthwise_regularizer,
        dtype="float32",
        trainable=layer.trainable,
        name=f"{layer.name}_depthwise",
    )
    kernel, bias = folded(layer.depthwise_kernel, None, None, is_depthwise=True)
    depthwise.build((None, None, None, kernel.shape[2]))
    depthwise.set_weights([kernel, bias])

    def build(name: str) -> keras.Layer:
        pointwise = QuantizedConv2D(
            layer.filters,
            1,
            kernel_regularizer=None if norm is not None else layer.pointwise_regularizer,
            dtype="float32",
            trainable=layer.trainable,
            name=name,
        )
        return _with_weights(pointwise, layer, layer.pointwise_kernel, norm)

    between = FakeQuantize(name=f"{layer.name}_depthwise_range")
    return [depthwise, between, *_with_activation(build, layer, name)]


@_parts.register
def _(layer: layers.BatchNormalization, norm: Norm, name: str) -> list[keras.Layer]:
    if not is_affine_image(layer):
        return [_copy(layer, name)]
    return [_scaled_channels(*affine_of(layer), layer.trainable, name)]


def _scaled_channels(scale: Any, offset: Any, is_trainable: bool, name: str) -> keras.Layer:
    # For each channel a multiplication and an addition, which is a depthwise convolution of 1x1:
    # its one weight is the largest of its channel, so int8 holds it exactly.
    convolution = QuantizedDepthwiseConv2D(1, dtype="float32", trainable=is_trainable, name=name)
    convolution.build((None, None, None, len(scale)))
    convolution.set_weights([scale.reshape(1, 1, -1, 1), offset])
    return convolution


@_parts.register
def _(layer: layers.Rescaling, norm: Norm, name: str) -> list[keras.Layer]:
    if not is_scalar(layer):
        return [_copy(layer, name)]
    # TFLite multiplies and adds in two operators, so there is a rounded image between them.
    if layer.offset == 0:
        return [layers.Rescaling(layer.scale, dtype="float32", name=name)]
    return [
        layers.Rescaling(layer.scale, dtype="float32", name=f"{layer.name}_scaled"),
        FakeQuantize(name=f"{layer.name}_scaled_range"),
        layers.Rescaling(1.0, layer.offset, dtype="float32", name=name),
    ]


def _without_initializers(layer: keras.Layer, norm: Norm, name: str) -> dict[str, Any]:
    """Return the layer's arguments without its activation, and without what only BatchNorm bore.

    A kernel in front of a batch normalisation has no scale of its own, so its regulariser and its
    constraint mean something else once the two are one.
    """
    config = {**layer.get_config(), "name": name, "dtype": "float32"}
    config.update(activation=None, use_bias=True)
    # New layers must not draw from the user's random generator: the weights are known.
    config.update({key: "zeros" for key in config if key.endswith("_initializer")})
    if norm is not None:
        endings = ("_regularizer", "_constraint")
        config.update({key: None for key in config if key.endswith(endings)})
    return config


def _with_weights(new: Any, layer: Any, kernel: Any, norm: Norm) -> keras.Layer:
    is_depthwise = isinstance(new, layers.DepthwiseConv2D)
    values, bias = folded(kernel, layer.bias, norm, is_depthwise=is_depthwise)
    if isinstance(new, layers.Dense):
        new.build((None, values.shape[0]))
    else:
        new.build((None, None, None, values.shape[2] * getattr(new, "groups", 1)))
    new.set_weights([values, bias])
    return new


def _with_activation(build: Any, layer: Any, name: str, takes_it: bool = True) -> list[keras.Layer]:
    if layer.activation in (None, keras.activations.linear):
        return [build(name)]
    linear = build(f"{layer.name}_linear")
    activation = _activation(layer.activation, name)
    if takes_it and is_fused(layer.activation):
        return [linear, activation]
    return [linear, FakeQuantize(name=f"{layer.name}_linear_range"), activation]


def _activation(function: Any, name: str) -> keras.Layer:
    if function is keras.activations.silu:
        return QuantizedSilu(dtype="float32", name=name)
    return layers.Activation(function, dtype="float32", name=name)


def _rounding(layer: Any, name: str) -> FakeQuantize:
    """Return what rounds a layer's output, to its known range where it has one."""
    known = known_range(layer)
    if known is None:
        return FakeQuantize(name=name)
    return FakeQuantize(*known, momentum=None, name=name)


def rounded(layer: Any, norm: Norm) -> list[Any]:
    """Return `parts_of(layer)` with the layer that rounds their output, which takes its name."""
    return [*parts_of(layer, norm, f"{layer.name}_float"), _rounding(layer, layer.name)]
