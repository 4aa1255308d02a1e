"""How each layer is quantised: which have a rule, and what TFLite runs as one operator.

Whatever has no rule is called as it is, and its output is rounded like any other: where TFLite has
an int8 kernel for it, the file runs that, and elsewhere the operator stays in float32 between a
DEQUANTIZE and a QUANTIZE.
"""

from __future__ import annotations

import keras
from keras import activations, layers

from kd_keras.compat.structure import ELEMENTWISE, MOVING, is_plain_functional
from kd_keras.quantize.layers import ROUNDING, FakeQuantize

WEIGHTED = (
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv2DTranspose,
    layers.DepthwiseConv2D,
    layers.SeparableConv2D,
    layers.Dense,
)
_MERGING = (layers.Add, layers.Subtract, layers.Multiply, *ELEMENTWISE)
# Their outputs have a range of their own, and no activation runs in the same operator.
_ALONE = (
    layers.Concatenate,
    layers.GlobalAveragePooling1D,
    layers.GlobalAveragePooling2D,
    layers.LeakyReLU,
    layers.Maximum,
    layers.Minimum,
    layers.PReLU,
)
_ACTIVATIONS = (layers.Activation, layers.ReLU, layers.Softmax)
_AFFINE = (layers.BatchNormalization, layers.Normalization, layers.Rescaling)
# They hand on values of their input, or means of them: the levels stay the same.
KEEPING = (
    layers.MaxPooling1D,
    layers.MaxPooling2D,
    layers.AveragePooling1D,
    layers.AveragePooling2D,
    layers.GlobalMaxPooling1D,
    layers.GlobalMaxPooling2D,
    layers.Flatten,
    layers.Reshape,
    layers.Permute,
    layers.ZeroPadding1D,
    layers.ZeroPadding2D,
    layers.Cropping1D,
    layers.Cropping2D,
    layers.UpSampling1D,
    layers.Identity,
    layers.ActivityRegularization,
    layers.Dropout,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.GaussianDropout,
    layers.GaussianNoise,
    *MOVING,
)
# The table's own levels; the convolution over time rounds inside, see `parts`.
_ROUNDED_INSIDE = (layers.Conv1D, layers.Embedding)
_RULED = (
    *WEIGHTED,
    *_AFFINE,
    *_ACTIVATIONS,
    *_MERGING,
    *_ALONE,
    *KEEPING,
    layers.Embedding,
    layers.UpSampling2D,
)
_FUSED = (activations.relu, activations.relu6)
# TFLite's int8 kernels write these with scales that cannot be chosen: 1/256 and 1/128.
_KNOWN_RANGES = {
    activations.softmax: (0.0, 255 / 256),
    activations.sigmoid: (0.0, 255 / 256),
    activations.tanh: (-1.0, 127 / 128),
}
# TFLite has int8 kernels for these, or for what they are made of.
_FREE_RANGES = (
    activations.exponential,
    activations.gelu,
    activations.hard_silu,
    activations.leaky_relu,
    activations.silu,
)


def is_fused(function: object) -> bool:
    """Whether TFLite runs an activation function in the operator before it."""
    return function in _FUSED


def known_range(layer: keras.Layer) -> tuple[float, float] | None:
    """Return the range that TFLite prescribes for a layer's output, or None for a free one."""
    if isinstance(layer, layers.Softmax):
        return _KNOWN_RANGES[activations.softmax]
    function = getattr(layer, "activation", None)
    return _KNOWN_RANGES.get(function) if callable(function) else None


def keeps_levels(layer: object) -> bool:
    """Whether the output of a layer has the levels of its input, or is rounded inside it."""
    if isinstance(layer, layers.UpSampling2D):
        return layer.interpolation == "nearest"
    return type(layer) in KEEPING or rounds_inside(layer) or is_nested(layer)


def rounds_inside(layer: object) -> bool:
    """Whether a layer's output has levels that were made inside it."""
    return type(layer) in _ROUNDED_INSIDE


def is_nested(layer: object) -> bool:
    """Whether a layer is a model whose own layers are quantised."""
    return isinstance(layer, keras.Model) and is_plain_functional(layer)


def runs_in_the_operator_before(layer: object) -> bool:
    """Whether a layer is an activation that TFLite runs in the operator before it."""
    if type(layer) is layers.ReLU:
        return _is_plain(layer)
    if type(layer) is not layers.Activation:
        return False
    return is_fused(getattr(layer, "activation", None))


def takes_an_activation(layer: object) -> bool:
    """Whether TFLite's operator for a layer runs the activation behind it too."""
    if type(layer) in (layers.Conv1D, layers.Conv2DTranspose):
        return False
    return type(layer) in (*WEIGHTED, *_MERGING, layers.BatchNormalization)


def takes_a_norm(layer: object) -> bool:
    """Whether a batch normalisation behind a layer can go into its kernel."""
    is_linear = getattr(layer, "activation", None) in (None, activations.linear)
    return type(layer) in WEIGHTED and is_linear


def obstacle(layer: object) -> str | None:
    """Return why a student with this layer is refused, or None where it is not."""
    if isinstance(layer, (FakeQuantize, *ROUNDING)):
        return "quantisation-aware already"
    if getattr(layer, "quantization_mode", None) is not None:
        return f"its weights are quantised already, as {layer.quantization_mode}"  # type: ignore[attr-defined]
    if getattr(layer, "lora_enabled", False):
        return "it has LoRA weights; merge them first"
    if getattr(layer, "data_format", "channels_last") == "channels_first":
        return "channels_first; TFLite takes channels_last"
    return None


def is_ruled(layer: object) -> bool:
    """Whether there is a rule for a layer's kind; it may not hold for each of that kind."""
    return type(layer) in _RULED


def has_rule(layer: object, is_folded: bool) -> bool:
    """Whether a layer is known to calculate in int8 in the file.

    Args:
        layer: A layer, or any other operation of a functional model.
        is_folded: Whether it is a batch normalisation that goes into the layer before it.
    """
    if not is_ruled(layer):
        return False
    if isinstance(layer, layers.BatchNormalization):
        return is_folded or is_affine_image(layer)
    if isinstance(layer, layers.Normalization):
        return is_affine_image(layer)
    if isinstance(layer, layers.Rescaling):
        return is_scalar(layer)
    if isinstance(layer, layers.ReLU):
        return _is_plain(layer)
    if isinstance(layer, layers.Softmax):
        return layer.axis == -1
    function = getattr(layer, "activation", None)
    return function in (None, activations.linear, *_FUSED, *_KNOWN_RANGES, *_FREE_RANGES)


def is_affine_image(norm: layers.BatchNormalization | layers.Normalization) -> bool:
    """Whether a normalisation scales and shifts the channels of images alone."""
    if isinstance(norm, layers.BatchNormalization):
        return norm.input_spec.ndim == 4 and norm.axis in (-1, 3)
    shape = norm.get_build_config().get("input_shape", ())
    return len(shape) == 4 and not norm.invert and norm.axis in (None, (), (3,), (-1,))


def is_scalar(rescaling: layers.Rescaling) -> bool:
    """Whether a rescaling has one scale and one offset for all values."""
    return all(isinstance(v, (int, float)) for v in (rescaling.scale, rescaling.offset))


def _is_plain(relu: layers.ReLU) -> bool:
    return relu.max_value in (None, 6) and not relu.negative_slope and not relu.threshold
