"""What TensorFlow does to graphs and has no public name for."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow.python.framework import op_def_registry
from tensorflow.python.grappler import tf_optimizer


def optimized(config: Any, problem: Any) -> tf.compat.v1.GraphDef:
    """Return the graph of a `MetaGraphDef` as Grappler rewrites it by a `ConfigProto`.

    tensorflow/python/grappler/tf_optimizer.py, `OptimizeGraph`; in public it runs only inside
    `tf.function`, with options for all graphs of the process.
    """
    return tf_optimizer.OptimizeGraph(config, problem, verbose=False)


def is_stateful(operation: str) -> bool:
    """Return whether a kind of operation draws, or keeps a state; of unknown kinds nobody knows.

    tensorflow/python/framework/op_def_registry.py, `get`.
    """
    definition = op_def_registry.get(operation)
    return definition is not None and bool(definition.is_stateful)
