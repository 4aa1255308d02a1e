"""What the graph of a Keras model says of its inputs and layers."""

from __future__ import annotations

from typing import Any

import keras
from keras.src.ops import numpy as _arithmetic

# What `x + y`, `x - y` and `x * y` are in a functional model: operations and no layers.
# keras/src/ops/numpy.py; `keras.ops` has the functions alone.
ELEMENTWISE = (_arithmetic.Add, _arithmetic.Subtract, _arithmetic.Multiply)
# What moves values about and changes none.
MOVING = (
    _arithmetic.Reshape,
    _arithmetic.Transpose,
    _arithmetic.GetItem,
    _arithmetic.ExpandDims,
    _arithmetic.Squeeze,
)


def takes_dict(model: Any) -> bool:
    """Return whether a model's graph takes a dict of inputs.

    keras/src/models/functional.py, `Functional._inputs_struct`; `model.input` of a model with one
    input in a dict is that input.
    """
    return isinstance(getattr(model, "_inputs_struct", None), dict)


def is_plain_functional(model: Any) -> bool:
    """Return whether a model's `call` is that of Keras's functional or Sequential models.

    keras/src/models/: a class that writes its own `call` does something else than its graph.
    """
    defines_call = next(kind for kind in type(model).__mro__ if "call" in vars(kind))
    return defines_call.__module__.startswith("keras.src.models.")


def has_graph(model: Any) -> bool:
    """Return whether a functional model, built by now, has its graph of layers."""
    return hasattr(model, "_nodes_by_depth")


def functional(model: Any) -> Any:
    """Return the functional model that a model is, or that a Sequential one has inside.

    keras/src/models/sequential.py, `Sequential._functional`.
    """
    return model._functional if isinstance(model, keras.Sequential) else model


def calls_in(model: Any, layer: Any) -> list[Any]:
    """Return the nodes of a layer's calls in the graph of a functional model.

    keras/src/ops/node.py. `layer.output` is the layer's first call anywhere: of a shared layer it
    may be another model's tensor, and of a layer called twice it is one of two, silently.
    """
    nodes = {node for nodes in functional(model)._nodes_by_depth.values() for node in nodes}
    return [node for node in layer._inbound_nodes if node in nodes]


def called_again(model: Any, inputs: Any, call: Any) -> Any:
    """Return the outputs of a functional model's graph on other inputs.

    keras/src/ops/function.py, `Function._run_through_graph`.

    Args:
        model: A functional or built Sequential model.
        inputs: Symbolic inputs, in the model's structure.
        call: Called as `call(operation, *args, **kwargs)` for each node.
    """
    return functional(model)._run_through_graph(inputs, call_fn=call)


def producer(tensor: Any) -> Any:
    """Return the operation that a symbolic tensor comes from, or `None`.

    keras/src/backend/common/keras_tensor.py: `_keras_history` is the tensor's place in the graph.
    """
    history = getattr(tensor, "_keras_history", None)
    return None if history is None else history.operation


def place_in_producer(tensor: Any) -> int:
    """Return which output of its `producer` a symbolic tensor is."""
    return int(tensor._keras_history.tensor_index)


def mask_of(tensor: Any) -> Any:
    """Return the Keras mask on a tensor, or `None`.

    keras/src/backend/common/masking.py; `keras.utils` has no public reader of it.
    """
    return getattr(tensor, "_keras_mask", None)


def with_mask(tensor: Any, mask: Any) -> Any:
    """Return the tensor with a Keras mask attached, where there is one."""
    if mask is not None:
        tensor._keras_mask = mask
    return tensor


def first_of_compiled(loss: Any, y: Any, y_pred: Any) -> Any:
    """Return the loss of the first output in what `compile` made of a loss; others as they are.

    keras/src/trainers/compile_utils.py, `CompileLoss._flat_losses`, there once it is built.
    """
    if not hasattr(loss, "_flat_losses"):
        return loss
    if not loss.built:
        loss.build(y, y_pred)
    return loss._flat_losses[0].loss
