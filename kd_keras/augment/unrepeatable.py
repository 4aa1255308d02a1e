"""Find random numbers that would not be what they should: constants, or drawn from a state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


def refuse_frozen_draws(function: Callable[[Any], Any], part: Any, x: Any) -> None:
    """Raise if two traces of `function` hold different constants.

    Nothing is run, so no generator of the user's moves.

    Args:
        function: Calls `part` on inputs.
        part: The augmentation, for the message.
        x: Its inputs, tensors of any structure.

    Raises:
        ValueError: If the traces differ.
    """
    specs = keras.tree.map_structure(
        lambda leaf: None if leaf is None else tf.TensorSpec(leaf.shape, leaf.dtype), x
    )
    with tf.init_scope():
        first, second = (_constants(function, specs) for _ in range(2))
    if first != second:
        raise ValueError(
            "`augmentation` draws its random numbers with NumPy or Python, which happens once, "
            "when the graph is traced: every step would see the same view. Received: "
            f"{part!r}. Draw with `tf.random` (stateless, with the `step` that a function may name "
            "in its signature), or augment in the tf.data pipeline with `tf.numpy_function`."
        )


def _constants(function: Callable[[Any], Any], specs: Any) -> list[Any]:
    """Return the operations of one trace in order, constants with their values."""
    traced = tf.function(function, autograph=False).get_concrete_function(specs)
    graph = traced.graph.as_graph_def()
    bodies = [graph.node, *(body.node_def for body in graph.library.function)]
    return [
        (node.op, node.attr["value"].tensor.SerializeToString() if node.op == "Const" else b"")
        for body in bodies
        for node in body
    ]


# Operations that draw from, or move, a state: their result depends on what ran before.
_STATEFUL = (
    "Assign",
    "Multinomial",
    "ParameterizedTruncatedNormal",
    "Random",
    "Rng",
    "StatefulRandom",
    "StatefulStandardNormal",
    "StatefulTruncatedNormal",
    "StatefulUniform",
    "TruncatedNormal",
)


def refuse_unrepeatable(call: Callable[[Any, Any], Any], layer: Any, x: tf.Tensor, y: Any) -> None:
    """Raise if `call`, which calls `layer` on images and labels, is no function of its draws.

    The call is traced into a graph that is never run, and the operations in it tell: keras-cv and
    Keras have more ways to draw than could be listed by class.

    Args:
        call: Takes images and labels.
        layer: The layer that `call` is about, for the message.
        x: Images of the shape and dtype to come.
        y: Labels like those to come, a structure of them, or `None`.
    """
    with tf.init_scope():
        traced = tf.function(call, autograph=False).get_concrete_function(
            _unbatched(x), keras.tree.map_structure(_unbatched, y)
        )
    found = sorted({name for name in _operations(traced.graph) if name.startswith(_STATEFUL)})
    if found:
        raise ValueError(
            f"A policy's views must be a function of (seed, step, position), but "
            f"{type(layer).__name__} keeps a random state of its own. Received: a layer that uses "
            f"{found}. Take the keras_cv.layers or kd_keras.augment layer of that kind, or pass "
            "the layer beside the policy, augmentation=[policy, layer], where it stays unseeded."
        )


def _unbatched(tensor: Any) -> tf.TensorSpec | None:
    if tensor is None:
        return None
    return tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype)


def _operations(graph: Any) -> set[str]:
    names = {operation.type for operation in graph.get_operations()}
    for function in graph.as_graph_def().library.function:
        names.update(node.op for node in function.node_def)
    return names
