"""Build the quantisation-aware model from the student's graph."""

from __future__ import annotations

import inspect
from typing import Any

import keras

from kd_keras.compat.structure import producer
from kd_keras.quantize.graph import Graph, graph_of
from kd_keras.quantize.layers import FakeQuantize
from kd_keras.quantize.parts import parts_of, rounded
from kd_keras.quantize.rules import has_rule, is_nested, rounds_inside

# Rescaled pixels lie on an even grid as the levels do. Half a level off it, as -1..1 is, each pixel
# would be halfway between two levels; a range wider by this share lets the grids drift apart.
_MARGIN = 1 / 254


def rebuild(
    student: keras.Model,
    momentum: float,
    input_range: tuple[float, float] | None,
    is_outermost: bool = True,
) -> keras.Model:
    """Return the quantisation-aware model of a supported functional student, not yet calibrated.

    Args:
        student: The functional model.
        momentum: Of the ranges that move.
        input_range: Lowest and highest value of the inputs, or None if it is not known.
        is_outermost: Whether its inputs have to be rounded: those of a nested model were already.

    Returns:
        A functional model with the same names of inputs, outputs and layers.
    """
    return _Rebuilding(student, momentum, input_range, is_outermost).model()


class _Rebuilding:
    def __init__(
        self,
        student: keras.Model,
        momentum: float,
        input_range: tuple[float, float] | None,
        is_outermost: bool,
    ):
        self._student = student
        self._momentum = momentum
        self._input_range = input_range
        self._is_outermost = is_outermost
        self._graph = Graph(student)
        norms = [self._graph.norm_of(operation) for operation in self._graph.operations]
        self._folded = {
            id(norm): operation
            for norm, operation in zip(norms, self._graph.operations, strict=True)
            if norm is not None
        }
        # By the id of the last of them, which stands for all in `clone_model`.
        self._chains: dict[int, list[keras.Layer]] = {}
        self._rounded_inputs: dict[int, Any] = {}

    def model(self) -> keras.Model:
        return keras.models.clone_model(
            self._student, clone_function=self._clone, call_function=self._call
        )

    def _clone(self, layer: Any) -> keras.Layer:
        chain = self._chain(layer)
        for part in chain:
            if isinstance(part, FakeQuantize) and part.momentum is not None:
                part.momentum = self._momentum
        self._chains[id(chain[-1])] = chain
        return chain[-1]

    def _chain(self, layer: Any) -> list[keras.Layer]:
        reaching = self._input_range if self._graph.takes_the_input(layer) else None
        if is_nested(layer):
            return [rebuild(graph_of(layer), self._momentum, reaching, is_outermost=False)]
        if id(layer) in self._folded:
            if self._graph.is_rounded(layer) and not rounds_inside(self._folded[id(layer)]):
                return [FakeQuantize(name=layer.name)]
            return [keras.layers.Identity(dtype="float32", name=layer.name)]
        norm = self._graph.norm_of(layer)
        if not self._graph.is_rounded(layer):
            return parts_of(layer, norm, layer.name)
        chain = rounded(layer, norm)
        is_rescaling = type(layer) is keras.layers.Rescaling and has_rule(layer, is_folded=False)
        if is_rescaling and reaching is not None:
            return self._with_known_ranges(chain, layer, *reaching)
        return chain

    def _with_known_ranges(
        self, chain: list[keras.Layer], layer: keras.layers.Rescaling, low: float, high: float
    ) -> list[keras.Layer]:
        scaled = (low * layer.scale, high * layer.scale)
        ranges = [_holding_zero(scaled)]
        if layer.offset:
            ranges.append(_holding_zero([value + layer.offset for value in scaled], _MARGIN))
        known = iter(ranges)
        return [
            FakeQuantize(*next(known), momentum=None, name=part.name)
            if isinstance(part, FakeQuantize)
            else part
            for part in chain
        ]

    def _call(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        chain = self._chains[id(layer)]
        if self._is_outermost:
            args, kwargs = keras.tree.map_structure(self._with_rounded_input, (args, kwargs))
        # A batch normalisation takes a mask, and what replaces it does not.
        accepted = inspect.signature(chain[0].call).parameters
        takes_all = any(each.kind is each.VAR_KEYWORD for each in accepted.values())
        outputs = chain[0](*args, **{k: v for k, v in kwargs.items() if takes_all or k in accepted})
        for part in chain[1:]:
            outputs = self._rounded(part, outputs) if _is_rounding(part) else part(outputs)
        return outputs

    def _rounded(self, last: FakeQuantize, outputs: Any) -> Any:
        if isinstance(outputs, keras.KerasTensor):
            return last(outputs) if _is_float(outputs) else outputs
        return keras.tree.map_structure(
            lambda x: FakeQuantize(momentum=self._momentum)(x) if _is_float(x) else x, outputs
        )

    def _with_rounded_input(self, value: Any) -> Any:
        if not isinstance(value, keras.KerasTensor):
            return value
        source = producer(value)
        if not isinstance(source, keras.layers.InputLayer) or not _is_float(value):
            return value
        if id(value) not in self._rounded_inputs:
            self._rounded_inputs[id(value)] = self._input_rounding(source.name)(value)
        return self._rounded_inputs[id(value)]

    def _input_rounding(self, name: str) -> FakeQuantize:
        name = f"{name}_range"
        if self._input_range is None:
            return FakeQuantize(momentum=self._momentum, name=name)
        return FakeQuantize(*_holding_zero(self._input_range), momentum=None, name=name)


def _is_rounding(part: Any) -> bool:
    return isinstance(part, FakeQuantize)


def _is_float(tensor: Any) -> bool:
    return bool(keras.backend.is_float_dtype(tensor.dtype))


def _holding_zero(values: Any, margin: float = 0.0) -> tuple[float, float]:
    low, high = min(*values, 0.0), max(*values, 0.0)
    spare = margin * (high - low) / 2
    return low - spare if low else low, high + spare if high else high
