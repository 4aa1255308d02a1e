"""What a student's graph says about its layers: who folds into whom, and where values are kept."""

from __future__ import annotations

from typing import Any

import keras

from kd_keras.compat.structure import is_plain_functional, producer
from kd_keras.quantize.rules import (
    has_rule,
    is_nested,
    keeps_levels,
    obstacle,
    runs_in_the_operator_before,
    takes_a_norm,
    takes_an_activation,
)


def graph_of(student: Any) -> keras.Model:
    """Return a functional model of the student's own layers.

    Raises:
        TypeError: If `student` is no Keras model.
        ValueError: If it is not built, or its class writes its own `call`.
    """
    if not isinstance(student, keras.Model):
        raise TypeError(
            "`student` must be a `keras.Model` (of a `Distiller`, pass its `.student`). "
            f"Received: student={student!r} (of type {type(student).__name__})"
        )
    if not is_plain_functional(student):
        raise ValueError(
            "`student` must be a functional or Sequential model: where to round is read from its "
            f"graph, and {type(student).__name__} has none, since it writes its own `call`. Build "
            "the same layers with the functional API, `keras.Model(inputs, outputs)`, and copy the "
            f"weights. Received: student={student.name!r}, a subclassed model"
        )
    if not student.built:
        raise ValueError(
            "`student` has no weights yet. Give a Sequential model a `keras.Input` as its first "
            f"layer, or call it on one batch. Received: student={student.name!r}"
        )
    if isinstance(student, keras.Sequential):
        return keras.Model(student.inputs[0], student.outputs[0], name=student.name)
    return keras.Model(student.input, student.output, name=student.name)


class Graph:
    """The calls of layers in one functional model.

    Args:
        model: The model; nested models are one layer each.
    """

    def __init__(self, model: keras.Model):
        self._outputs = {id(tensor) for tensor in model.outputs}
        self._calls: dict[int, list[Any]] = {}
        self._consumers: dict[int, list[Any]] = {}
        self.operations: list[Any] = []
        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                self._add(node)

    def _add(self, node: Any) -> None:
        if node.is_input:
            return
        if id(node.operation) not in self._calls:
            self.operations.append(node.operation)
        self._calls.setdefault(id(node.operation), []).append(node)
        for tensor in node.input_tensors:
            self._consumers.setdefault(id(tensor), []).append(node.operation)

    def next_of(self, layer: Any) -> Any:
        """Return the one layer that takes the output of `layer`, or None if it is not alone."""
        calls = self._calls[id(layer)]
        if len(calls) != 1:
            return None
        tensor = calls[0].output_tensors[0]
        consumers = self._consumers.get(id(tensor), [])
        if id(tensor) in self._outputs or len(consumers) != 1:
            return None
        return consumers[0] if len(self._calls[id(consumers[0])]) == 1 else None

    def takes_the_input(self, layer: Any) -> bool:
        """Whether every call of `layer` takes inputs of the model and nothing else."""
        tensors = [tensor for node in self._calls[id(layer)] for tensor in node.input_tensors]
        return all(isinstance(producer(tensor), keras.layers.InputLayer) for tensor in tensors)

    def norm_of(self, layer: Any) -> Any:
        """Return the batch normalisation that is folded into `layer`, or None."""
        if not takes_a_norm(layer):
            return None
        following = self.next_of(layer)
        return following if type(following) is keras.layers.BatchNormalization else None

    def is_rounded(self, layer: Any) -> bool:
        """Whether the output of `layer` is a tensor of the file with levels of its own.

        It is not where TFLite computes it inside an operator, nor where it has its input's levels.
        """
        if keeps_levels(layer) or self.norm_of(layer) is not None:
            return False
        following = self.next_of(layer) if takes_an_activation(layer) else None
        is_linear = getattr(layer, "activation", None) in (None, keras.activations.linear)
        return not (is_linear and runs_in_the_operator_before(following))


def kept_in_float(model: keras.Model) -> list[str]:
    """Return the layers without a rule, as "name (kind)".

    Raises:
        ValueError: With a list of all layers that cannot be in a student, if there are any.
    """
    refused: list[str] = []
    found = _without_rule(model, "", refused)
    if refused:
        listed = "".join(f"\n  {each}" for each in refused)
        raise ValueError(
            f"`student` {model.name!r} has layers that cannot be trained for int8. Replace them, "
            f"or move them out of the student. Received:{listed}"
        )
    return found


def _without_rule(model: keras.Model, path: str, refused: list[str]) -> list[str]:
    graph = Graph(model)
    norms = {id(graph.norm_of(operation)) for operation in graph.operations}
    found = []
    for operation in graph.operations:
        name = f"{path}{operation.name} ({type(operation).__name__})"
        if is_nested(operation):
            found += _without_rule(graph_of(operation), f"{path}{operation.name}/", refused)
        elif reason := obstacle(operation):
            refused.append(f"{name}: {reason}")
        elif not has_rule(operation, id(operation) in norms):
            found.append(name)
    return found
