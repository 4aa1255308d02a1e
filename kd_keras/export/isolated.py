"""A graph taken apart: every operator by itself, fed from outside."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Isolated:
    """A file whose operators no longer feed each other.

    Attributes:
        content: The new file's bytes. Its tensors keep their indices; its outputs are all floating
            outputs of all operators.
        feeds: The new graph's input for each floating tensor that an operator reads and that is no
            constant, by (position of the operator, position among its inputs).
    """

    content: bytes
    feeds: dict[tuple[int, int], int]


def isolate(content: bytes) -> Isolated:
    """Take the main graph of a float file apart.

    Integer tensors stay connected: they hold shapes and indices, which no quantisation changes.

    Args:
        content: The bytes of a `.tflite` file with float activations.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    graph = model.subgraphs[0]
    tensors = graph.tensors
    floats = (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16)

    def is_activation(index: int) -> bool:
        if index < 0 or tensors[index].type not in floats:
            return False
        buffer = model.buffers[tensors[index].buffer]
        return buffer.data is None and not buffer.offset

    feeds: dict[tuple[int, int], int] = {}
    placeholders: list[Any] = []
    outputs: list[int] = []
    for position, operator in enumerate(graph.operators):
        inputs = [int(index) for index in operator.inputs]
        for place, index in enumerate(inputs):
            if is_activation(index):
                feeds[position, place] = len(tensors) + len(placeholders)
                placeholders.append(copy.copy(tensors[index]))
                inputs[place] = feeds[position, place]
        operator.inputs = inputs
        outputs.extend(int(i) for i in operator.outputs if tensors[i].type in floats)
    graph.inputs = [int(i) for i in graph.inputs if not is_activation(i)] + list(feeds.values())
    graph.outputs = outputs
    graph.tensors = tensors + placeholders
    # They name the inputs and outputs that the graph had.
    model.signatureDefs = []
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return Isolated(bytes(builder.Output()), feeds)
