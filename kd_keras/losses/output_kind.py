"""Tell from a model's graph whether an output holds logits or probabilities."""

from __future__ import annotations

from typing import Any, Literal

import keras

_PROBABILITY_ACTIVATIONS = (keras.activations.softmax, keras.activations.sigmoid)
# The operations behind `keras.ops.softmax(x)` and `keras.ops.sigmoid(x)` in a functional model.
_PROBABILITY_OPERATIONS = ("Softmax", "Sigmoid")
# Layers that hand their input's values on.
_TRANSPARENT_LAYERS = (
    keras.layers.Identity,
    keras.layers.Reshape,
    keras.layers.Flatten,
    keras.layers.Dropout,
)


def output_kind(
    model: Any, layer_name: str | None = None
) -> Literal["logits", "probabilities"] | None:
    """Return what `model` puts out, as far as its graph tells.

    Args:
        model: A `keras.Model` or `keras.Layer`.
        layer_name: Name of a layer, "inner/layer" for one in a nested model, or key of a dict
            output. `None` means all outputs of the model.

    Returns:
        `"probabilities"` if an output comes straight from a softmax or sigmoid, `"logits"` if every
        output comes from a layer with a linear activation, else `None` (a subclassed model, say).
    """
    kinds = {_tensor_kind(tensor) for tensor in _output_tensors(model, layer_name)}
    if "probabilities" in kinds:
        return "probabilities"
    return "logits" if kinds == {"logits"} else None


def _output_tensors(model: Any, layer_name: str | None) -> list[Any]:
    outputs = getattr(model, "outputs", None)
    if not outputs:
        return []
    if layer_name is None:
        return list(outputs)
    structured = getattr(model, "output", None) if not isinstance(model, keras.Sequential) else None
    if isinstance(structured, dict) and layer_name in structured:
        return keras.tree.flatten(structured[layer_name])
    name, _, inside = layer_name.partition("/")
    for layer in model.layers:
        if layer.name == name:
            if inside:
                return _output_tensors(layer, inside)
            try:
                return keras.tree.flatten(layer.output)
            except (AttributeError, ValueError):  # never called, or called more than once
                return []
    return []


def _tensor_kind(tensor: Any) -> Literal["logits", "probabilities"] | None:
    history = getattr(tensor, "_keras_history", None)
    if history is None:
        return None
    operation = history.operation
    if isinstance(operation, keras.Model):
        return output_kind(operation)
    if isinstance(operation, _TRANSPARENT_LAYERS):
        return _tensor_kind(operation.input)
    if isinstance(operation, keras.layers.Softmax):
        return "probabilities"
    if not isinstance(operation, keras.layers.Layer):
        return "probabilities" if type(operation).__name__ in _PROBABILITY_OPERATIONS else None
    activation = getattr(operation, "activation", None)
    if activation in _PROBABILITY_ACTIVATIONS:
        return "probabilities"
    return "logits" if activation is keras.activations.linear else None
