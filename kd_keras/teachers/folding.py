"""Work that a graph of constants need not do in every step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, rewriter_config_pb2

from kd_keras.compat.graphs import optimized as optimized_by_grappler

_LINEAR = ("Conv2D", "Conv3D", "DepthwiseConv2dNative", "MatMul")
_ADDITIONS = ("Add", "AddV2", "BiasAdd")


def fold(
    graph: tf.compat.v1.GraphDef,
    inputs: Iterable[tf.Tensor],
    outputs: Iterable[tf.Tensor],
    bfloat16: bool = False,
) -> tf.compat.v1.GraphDef:
    """Return `graph` with its constants folded, batch normalisation merged into linear layers.

    `scale * (w * x + b) + shift` becomes `(scale * w) * x + (scale * b + shift)`, with the last sum
    as a BiasAdd: TensorFlow then runs a convolution with its bias, the shortcut and ReLU as one
    kernel, where it would reorder plain sums and miss that. XLA merges nothing of the kind itself.

    Args:
        graph: A graph without variables.
        inputs: Its inputs.
        outputs: Its outputs; they keep their names and dtypes.
        bfloat16: Whether to run in bfloat16 what TensorFlow's automatic mixed precision holds safe.
    """
    inputs, outputs = list(inputs), list(outputs)
    graph = _optimize(graph, inputs, outputs)
    _merge_into_kernels(graph, {tensor.op.name for tensor in outputs})
    if bfloat16:
        graph = _optimize(graph, inputs, outputs, bfloat16=True)
    _remove_unused(graph, [tensor.op.name for tensor in (*inputs, *outputs)])
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
    optimized = optimized_by_grappler(config, problem)
    for node in optimized.node:
        node.device = ""
    return optimized


def _merge_into_kernels(graph: tf.compat.v1.GraphDef, outputs: set[str]) -> None:
    """Merge what multiplies or shifts the channels of a linear layer into it, in place.

    Args:
        graph: A graph with folded constants.
        outputs: Names of the nodes whose values must stay.
    """
    nodes = {node.name: node for node in graph.node}
    consumers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(_producer(name), []).append(node)
    for layer in [node for node in graph.node if node.op in _LINEAR]:
        kernel = _constant(nodes.get(layer.input[1]))
        if kernel is None or kernel.dtype != np.float32 or not _has_channels_last(layer):
            continue  # in half precision the merged kernel would be rounded differently
        channels = _channels(layer, kernel)
        scale, shift, last = np.ones(channels), np.zeros(channels), layer
        while last.name not in outputs and len(consumers.get(last.name, [])) == 1:
            (following,) = consumers[last.name]
            values = _per_channel(following, last, nodes, channels)
            if values is None:
                break
            if following.op == "Mul":
                scale, shift = scale * values, shift * values
            else:
                shift = shift + values
            last = following
        if last is layer:
            continue
        merged = kernel.reshape(*_leading(layer, kernel), channels) * scale
        layer.input[1] = _add_constant(graph, f"{layer.name}/merged_kernel", merged, kernel.shape)
        bias = _add_constant(graph, f"{layer.name}/merged_bias", shift, (channels,))
        last.op = "BiasAdd"
        last.input[:] = [layer.name, bias]


def _per_channel(node: Any, before: Any, nodes: dict[str, Any], channels: int) -> np.ndarray | None:
    """Return the constants, float64 of shape (channels,), by which `node` changes `before`."""
    if node.op not in ("Mul", *_ADDITIONS) or len(node.input) != 2:
        return None
    others = [name for name in node.input if name != before.name]
    values = _constant(nodes.get(others[0])) if len(others) == 1 else None
    if values is None or values.size not in (1, channels) or values.ndim > _rank(before, nodes):
        return None
    if values.size != 1 and values.shape[-1] != channels:
        return None  # a map over positions
    return np.broadcast_to(values.astype("float64").reshape(-1), (channels,))


def _rank(node: Any, nodes: dict[str, Any]) -> int:
    while node.op not in _LINEAR:
        node = next(n for n in (nodes[_producer(i)] for i in node.input) if n.op != "Const")
    return {"MatMul": 2, "Conv3D": 5}.get(node.op, 4)


def _leading(layer: Any, kernel: np.ndarray) -> tuple[int, ...]:
    return kernel.shape[:2] if layer.op == "DepthwiseConv2dNative" else kernel.shape[:-1]


def _channels(layer: Any, kernel: np.ndarray) -> int:
    return int(kernel.size // np.prod(_leading(layer, kernel)))


def _constant(node: Any) -> np.ndarray | None:
    return tf.make_ndarray(node.attr["value"].tensor) if node and node.op == "Const" else None


def _add_constant(
    graph: tf.compat.v1.GraphDef, name: str, values: np.ndarray, shape: tuple[int, ...]
) -> str:
    tensor = tf.make_tensor_proto(values.astype("float32").reshape(shape))
    node = graph.node.add(name=name, op="Const")
    node.attr["dtype"].type = tensor.dtype
    node.attr["value"].tensor.CopyFrom(tensor)
    return name


def _remove_unused(graph: tf.compat.v1.GraphDef, needed: list[str]) -> None:
    nodes = {node.name: node for node in graph.node}
    reached: set[str] = set()
    waiting = list(needed)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += [_producer(name) for name in nodes[name].input]
    kept = [node for node in graph.node if node.name in reached]
    del graph.node[:]
    graph.node.extend(kept)


def _producer(name: str) -> str:
    """Return the node of an input as a graph names it: "node", "node:1" or "^node"."""
    return name.lstrip("^").split(":")[0]


def _has_channels_last(layer: Any) -> bool:
    if layer.op == "MatMul":
        return not layer.attr["transpose_b"].b
    return layer.attr["data_format"].s in (b"NHWC", b"NDHWC")
