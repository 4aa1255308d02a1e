"""Tell from a model's graph whether an output holds logits or probabilities."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import keras
import numpy as np

from kd_keras.compat.structure import place_in_producer, producer

# None where nobody knows.
OutputKind: TypeAlias = Literal["logits", "softmax", "sigmoid"] | None

# The activations, and the operations behind `keras.ops.softmax(x)` in a functional model.
_ACTIVATIONS: dict[Any, OutputKind] = {
    keras.activations.softmax: "softmax",
    keras.activations.sigmoid: "sigmoid",
    keras.activations.linear: "logits",
}
_OPERATIONS: dict[str, OutputKind] = {"Softmax": "softmax", "Sigmoid": "sigmoid"}
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
    kinds = {tensor_kind(tensor) for tensor in _output_tensors(model, layer_name)}
    if kinds & {"softmax", "sigmoid"}:
        return "probabilities"
    return "logits" if kinds == {"logits"} else None


def kinds_in_graph(model: Any, layer_name: str | None = None) -> list[OutputKind] | None:
    """Return the kind of each output of `model`, flat; `None` where it has no graph.

    Args:
        model: As for `output_kind`.
        layer_name: As for `output_kind`.
    """
    tensors = _output_tensors(model, layer_name)
    return [tensor_kind(tensor) for tensor in tensors] if tensors else None


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
    for layer in getattr(model, "layers", ()):
        if layer.name == name:
            if inside:
                return _output_tensors(layer, inside)
            try:
                return keras.tree.flatten(layer.output)
            except (AttributeError, ValueError):  # never called, or called more than once
                return []
    return []


def tensor_kind(tensor: Any) -> OutputKind:
    """Return what a symbolic tensor holds, by the operation that it comes from."""
    operation = producer(tensor)
    if operation is None:
        return None
    if isinstance(operation, keras.Model):
        kinds = kinds_in_graph(operation)
        return None if kinds is None else kinds[place_in_producer(tensor)]
    if isinstance(operation, keras.layers.TimeDistributed):
        operation = operation.layer
    if isinstance(operation, _TRANSPARENT_LAYERS):
        return tensor_kind(operation.input)
    if isinstance(operation, keras.layers.Softmax):
        return "softmax"
    if not isinstance(operation, keras.layers.Layer):
        return _OPERATIONS.get(type(operation).__name__)
    if isinstance(operation, keras.layers.Activation):
        kind = _ACTIVATIONS.get(operation.activation)
        # A linear activation hands on what came.
        return tensor_kind(operation.input) if kind == "logits" else kind
    try:
        return _ACTIVATIONS.get(getattr(operation, "activation", None))
    except TypeError:  # a layer as the activation of another one need not be hashable
        return None


def kind_of_values(values: np.ndarray) -> OutputKind:
    """Return what values `(examples, ..., classes)` look like, where no graph tells.

    Rows of a softmax sum to 1; after a sigmoid all values lie between 0 and 1.
    """
    if values.ndim < 2 or not np.isfinite(values).all() or values.min() < 0 or values.max() > 1.01:
        return "logits"
    if values.shape[-1] > 1 and np.allclose(values.sum(-1), 1.0, atol=1e-2):
        return "softmax"
    # An untrained network's logits of nothing may all be 0.
    return "sigmoid" if values.max() <= 1 and np.ptp(values) > 0 else None
