"""A network as a graph of constants, for inference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kd_keras.compat.graphs import is_stateful
from kd_keras.compat.model import flat_layers
from kd_keras.compat.structure import mask_of
from kd_keras.teachers.folding import fold

# A step may hold the network twice (an augmentation that asks the teacher, and the core), and a
# GraphDef ends at 2**31 bytes.
MOST_BYTES = 2**29
# They count as stateful for what they call, which is looked at by itself.
_CALLS = ("PartitionedCall", "StatefulPartitionedCall", "If", "While", "Case")
# Merged weights differ in the last digit, which rounding can turn into a whole step.
_ROUNDING = ("FakeQuant", "Quantize", "Round", "Rint")


class NoBfloat16Error(Exception):
    """Nothing of the network would run in bfloat16 here; the message ends a sentence."""


class NotFreezableError(Exception):
    """The network cannot become constants; the message says why, as the end of a sentence."""


def freeze_graph(
    network: Callable[..., Any], model: Any, specs: Any, bfloat16: bool = False
) -> Callable[[Any], Any]:
    """Return `network(x, training=False)` as a function whose weights are constants.

    The weights are those of this moment. Call it outside of any graph (`tf.init_scope`).

    Args:
        network: Calls `model`; returns any structure of tensors.
        model: The built `keras.Model` or `keras.Layer` that the weights belong to.
        specs: `tf.TensorSpec`s of x, in its structure.
        bfloat16: As in `fold`.

    Returns:
        A function of x that returns the structure that `network` returns; it can be called in other
        graphs, compiled by XLA, and differentiated at x.

    Raises:
        NoBfloat16Error: If bfloat16 was asked for and there is none.
        NotFreezableError: If the network keeps a state, draws random numbers, rounds, puts out
            Keras masks or something else than tensors, or has too many weights.
    """
    _refuse_by_weights(model)
    traced, structure = _trace(network, model, specs)
    graph, inputs = _without_captures(traced)
    _refuse_by_operations(graph)
    graph = fold(graph, inputs, traced.outputs, bfloat16)
    if bfloat16 and not _computes_in_bfloat16(graph):
        raise NoBfloat16Error("TensorFlow computes nothing of it in bfloat16 on this processor")
    names = [tensor.name for tensor in inputs], [tensor.name for tensor in traced.outputs]
    shapes = [tensor.shape for tensor in traced.outputs]

    def constant_network(*x: tf.Tensor) -> list[tf.Tensor]:
        outputs = tf.graph_util.import_graph_def(
            graph,
            input_map=dict(zip(names[0], x, strict=True)),
            return_elements=names[1],
            name="",
        )
        for output, shape in zip(outputs, shapes, strict=True):
            output.set_shape(shape)
        return outputs

    function = tf.function(constant_network, autograph=False).get_concrete_function(
        *[tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in inputs]
    )

    def run(x: Any) -> Any:
        return keras.tree.pack_sequence_as(structure, list(function(*keras.tree.flatten(x))))

    return run


def _computes_in_bfloat16(graph: tf.compat.v1.GraphDef) -> bool:
    return any(node.attr["T"].type == tf.bfloat16.as_datatype_enum for node in graph.node)


def _refuse_by_weights(model: Any) -> None:
    size = sum(weight.numpy().nbytes for weight in model.weights)
    if size > MOST_BYTES:
        raise NotFreezableError(f"its weights take {size} bytes, more than {MOST_BYTES}")
    for layer in flat_layers(model):
        if getattr(layer, "quantization_mode", None) is not None:
            raise NotFreezableError(f"its layer {layer.name!r} is quantised")


def _trace(network: Callable[..., Any], model: Any, specs: Any) -> tuple[Any, Any]:
    """Return the concrete function of `network` with constants, and its outputs' structure."""
    values = [(weight, keras.ops.convert_to_numpy(weight)) for weight in model.weights]
    structure = None

    def call(*flat: tf.Tensor) -> list[tf.Tensor]:
        nonlocal structure
        x = keras.tree.pack_sequence_as(specs, list(flat))
        constants = [(weight, tf.constant(value)) for weight, value in values]
        with keras.StatelessScope(state_mapping=constants) as scope:
            structure = network(x, training=False)
        for weight, constant in constants:
            if scope.get_current_value(weight) is not constant:
                raise NotFreezableError(f"its weight {weight.path!r} moves when it infers")
        if len(scope.state_mapping) > len(constants):
            raise NotFreezableError("it keeps a state that moves when it infers")
        outputs = keras.tree.flatten(structure)
        for output in outputs:
            if not isinstance(output, tf.Tensor):
                raise NotFreezableError(f"it returns {type(output).__name__}, not tensors only")
            if mask_of(output) is not None:
                raise NotFreezableError("its outputs carry a Keras mask")
        # An output that is an input would have no operation of its own.
        return [tf.identity(output) for output in outputs]

    traced = tf.function(call, autograph=False).get_concrete_function(*keras.tree.flatten(specs))
    # Symbolic tensors would keep the graph alive.
    structure = keras.tree.map_structure(lambda _: 0, structure)
    return traced, structure


def _without_captures(traced: Any) -> tuple[tf.compat.v1.GraphDef, list[tf.Tensor]]:
    """Return the graph with captured tensors as constants, and the inputs that remain."""
    graph = traced.graph.as_graph_def()
    nodes = {node.name: node for node in graph.node}
    for value, placeholder in traced.graph.captures:
        if value.dtype in (tf.resource, tf.variant):
            raise NotFreezableError("it reads a variable or table that is no Keras weight of it")
        node = nodes[placeholder.op.name]
        node.Clear()
        node.name, node.op = placeholder.op.name, "Const"
        node.attr["dtype"].type = value.dtype.as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.asarray(value)))
    captured = {placeholder.name for _, placeholder in traced.graph.captures}
    return graph, [tensor for tensor in traced.inputs if tensor.name not in captured]


def _refuse_by_operations(graph: tf.compat.v1.GraphDef) -> None:
    bodies = [graph.node, *(function.node_def for function in graph.library.function)]
    for kind in sorted({node.op for body in bodies for node in body}):
        if is_stateful(kind) and kind not in _CALLS:
            raise NotFreezableError(f"its operation {kind} draws, or keeps a state")
        if kind.startswith(_ROUNDING):
            raise NotFreezableError(f"its operation {kind} rounds")
