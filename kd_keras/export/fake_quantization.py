"""Students that carry trained int8 ranges: the fake-quantisation ops in their graph."""

from __future__ import annotations

import keras
import tensorflow as tf

from kd_keras.export.signature import MAIN, Signature
from kd_keras.export.student import StudentInputs

_FAKE_QUANTIZATION = "FakeQuantWithMinMax"


def has_trained_ranges(student: keras.Model, inputs: StudentInputs) -> bool:
    """Whether a student's inference rounds as int8 does, so that its file needs no calibration.

    Told by the ops that it runs and not by its layers, so that models of other libraries count.

    Args:
        student: A built model.
        inputs: What it takes.
    """
    signature = Signature(MAIN, student, inputs)
    specs = [tf.TensorSpec((None, *spec.shape[1:]), spec.dtype) for spec in signature.specs]
    graph = tf.function(signature).get_concrete_function(*specs).graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    return any(node.op.startswith(_FAKE_QUANTIZATION) for node in nodes)
