"""The quantisation-aware layers that take the place of one layer of the student."""

from __future__ import annotations

import functools
from typing import Any, TypeAlias

import keras
from keras import layers

from kd_keras.quantize.folding import affine_of, folded
from kd_keras.quantize.layers import (
    FakeQuantize,
    QuantizedConv2D,
    QuantizedDense,
    QuantizedDepthwiseConv2D,
)
from kd_keras.quantize.rules import is_fused, known_range

Norm: TypeAlias = layers.BatchNormalization | None


@functools.singledispatch
def parts_of(layer: keras.Layer, norm: Norm, name: str) -> list[keras.Layer]:
    """Return the layers that do what `layer` does, to be called one behind the other.

    Args:
        layer: A built layer of the student, which stays as it is.
        norm: The batch normalisation that is folded into it, or None.
        name: Name of the last of them.

    Returns:
        New layers in float32, with weights of their own where they have any. The output of the last
        one is not rounded yet; what is between them is.
    """
    config = {**layer.get_config(), "name": name, "dtype": "float32"}
    return [type(layer).from_config(config)]


@parts_of.register
def _(layer: layers.Conv2D, norm: Norm, name: str) -> list[keras.Layer]:
    def build(name: str) -> keras.Layer:
        config = _without_initializers(layer, norm, name)
        return _with_weights(QuantizedConv2D(**config), layer, layer.kernel, norm)

    return _with_activation(build, layer, name)


@parts_of.register
def _(layer: layers.Dense, norm: Norm, name: str) -> list[keras.Layer]:
    def build(name: str) -> keras.Layer:
        config = _without_initializers(layer, norm, name)
        return _with_weights(QuantizedDense(**config), layer, layer.kernel, norm)

    return _with_activation(build, layer, name)


@parts_of.register
def _(layer: layers.DepthwiseConv2D, norm: Norm, name: str) -> list[keras.Layer]:
    def build(name: str) -> keras.Layer:
        config = _without_initializers(layer, norm, name)
        return _with_weights(QuantizedDepthwiseConv2D(**config), layer, layer.kernel, norm)

    return _with_activation(build, layer, name)


@parts_of.register
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


@parts_of.register
def _(layer: layers.BatchNormalization, norm: Norm, name: str) -> list[keras.Layer]:
    # For each channel a multiplication and an addition, which is a depthwise convolution of 1x1:
    # its one weight is the largest of its channel, so int8 holds it exactly.
    scale, offset = affine_of(layer)
    convolution = QuantizedDepthwiseConv2D(1, dtype="float32", trainable=layer.trainable, name=name)
    convolution.build((None, None, None, len(scale)))
    convolution.set_weights([scale.reshape(1, 1, -1, 1), offset])
    return [convolution]


@parts_of.register
def _(layer: layers.Rescaling, norm: Norm, name: str) -> list[keras.Layer]:
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


def _with_activation(build: Any, layer: Any, name: str) -> list[keras.Layer]:
    if layer.activation in (None, keras.activations.linear):
        return [build(name)]
    linear = build(f"{layer.name}_linear")
    activation = layers.Activation(layer.activation, dtype="float32", name=name)
    if is_fused(layer.activation):
        return [linear, activation]
    return [linear, FakeQuantize(name=f"{layer.name}_linear_range"), activation]


def rounded(layer: keras.Layer, norm: Norm) -> list[keras.Layer]:
    """Return `parts_of(layer)` with the layer that rounds their output, which takes its name."""
    known = known_range(layer)
    last = (
        FakeQuantize(name=layer.name)
        if known is None
        else FakeQuantize(*known, momentum=None, name=layer.name)
    )
    return [*parts_of(layer, norm, f"{layer.name}_float"), last]
