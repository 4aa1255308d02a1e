"""Notice randomness of NumPy or Python in what a graph traces: drawn once, it is a constant."""

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
