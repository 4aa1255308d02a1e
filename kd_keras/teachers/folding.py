"""Work that a graph of constants need not do: TensorFlow's own graph optimizer, run once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, rewriter_config_pb2
from tensorflow.python.grappler import tf_optimizer

_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative", "Conv3D", "MatMul")


def fold(
    graph: tf.compat.v1.GraphDef,
    inputs: Iterable[tf.Tensor],
    outputs: Iterable[tf.Tensor],
    bfloat16: bool = False,
) -> tf.compat.v1.GraphDef:
    """Return `graph` with its constants folded, batch normalisation merged into convolutions.

    `scale * (w * x) + shift` becomes `(scale * w) * x + shift`. It is done here and not left to the
    optimizer that runs in every step, because XLA would not do it, and because the shift must
    become a bias before that optimizer reorders sums: a convolution with its bias, the shortcut and
    ReLU then run as one kernel.

    Args:
        graph: A graph without variables.
        inputs: Its inputs.
        outputs: Its outputs; they keep their names and dtypes.
        bfloat16: Whether to run in bfloat16 what TensorFlow's automatic mixed precision holds safe.
    """
    inputs, outputs = list(inputs), list(outputs)
    graph = _optimize(graph, inputs, outputs)
    _shifts_to_biases(graph)
    if bfloat16:
        graph = _optimize(graph, inputs, outputs, bfloat16=True)
    return graph


def _optimize(
    graph: tf.compat.v1.GraphDef, inputs: Any, outputs: Any, bfloat16: bool = False
) -> tf.compat.v1.GraphDef:
    on, off = rewriter_config_pb2.RewriterConfig.ON, rewriter_config_pb2.RewriterConfig.OFF
    config = config_pb2.ConfigProto()
    rewriting = config.graph_options.rewrite_options
    rewriting.min_graph_nodes = -1  # small graphs too
    # What depends on the device, and what reorders sums, is left to the step's own optimizer.
    rewriting.remapping = off
    rewriting.layout_optimizer = off
    rewriting.arithmetic_optimization = off
    rewriting.auto_mixed_precision_onednn_bfloat16 = on if bfloat16 else off
    problem = meta_graph_pb2.MetaGraphDef()
    problem.graph_def.CopyFrom(graph)
    for node in problem.graph_def.node:
        # Mixed precision in bfloat16 looks at nodes on the CPU only; what it makes runs anywhere.
        node.device = "/device:CPU:0" if bfloat16 else node.device
    signature = problem.signature_def["serving_default"]
    for part, tensors in ((signature.inputs, inputs), (signature.outputs, outputs)):
        for tensor in tensors:
            part[tensor.name].name = tensor.name
            part[tensor.name].dtype = tensor.dtype.as_datatype_enum
    optimized = tf_optimizer.OptimizeGraph(config, problem, verbose=False)
    for node in optimized.node:
        node.device = ""
    return optimized


def _shifts_to_biases(graph: tf.compat.v1.GraphDef) -> None:
    """Turn `convolution + constant` with one constant for each channel into BiasAdd, in place."""
    nodes = {node.name: node for node in graph.node}
    for node in list(graph.node):
        if node.op != "AddV2":
            continue
        parts = [nodes.get(name) for name in node.input]
        convolution, shift = sorted(parts, key=lambda part: part is None or part.op == "Const")
        if convolution is None or shift is None or shift.op != "Const":
            continue
        if convolution.op not in _CONVOLUTIONS or not _has_channels_last(convolution):
            continue
        values = tf.make_ndarray(shift.attr["value"].tensor)
        if values.ndim == 0 or values.size != values.shape[-1] or values.size == 1:
            continue  # a scalar, or a map with values of its own at every position
        bias = graph.node.add(name=f"{node.name}/bias", op="Const")
        bias.attr["dtype"].CopyFrom(shift.attr["dtype"])
        bias.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values.reshape(-1)))
        node.op = "BiasAdd"
        node.input[:] = [convolution.name, bias.name]


def _has_channels_last(convolution: Any) -> bool:
    if "data_format" not in convolution.attr:
        return True
    return convolution.attr["data_format"].s in (b"NHWC", b"NDHWC")
