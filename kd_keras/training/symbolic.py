"""Shapes and dtypes of the first batch, and what is built from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras


class SymbolicCall(keras.Operation):
    """Run a function on symbolic tensors, which builds the layers that it calls."""

    def __init__(self, function: Callable[..., Any]):
        super().__init__()
        self._function = function

    def call(self, *args: Any) -> Any:
        return self._function(*args)


class Specs:
    """Symbolic inputs, labels and outputs of the student, as of the first batch.

    A plain object: Keras wraps the dicts and lists that are attributes of a model, and a wrapped
    dict no longer passes for the structure of the student's outputs.
    """

    def __init__(self, inputs: Any, targets: Any, outputs: Any):
        self.inputs = inputs
        self.targets = targets
        self.outputs = outputs


def symbolic(inputs: Any) -> Any:
    """Return `KerasTensor`s like `inputs`, with any batch size."""
    return keras.tree.map_structure(
        lambda t: keras.KerasTensor(
            (None, *tuple(t.shape)[1:]), dtype=keras.backend.standardize_dtype(t.dtype)
        ),
        inputs,
    )


def build_config(specs: Specs | None) -> dict[str, Any]:
    """Return the shapes and dtypes of the data that a model was built for, as JSON knows them."""
    if specs is None:
        return {}
    return {
        "inputs": _described(specs.inputs),
        "targets": None if specs.targets is None else _described(specs.targets),
    }


def symbolic_data(config: dict[str, Any]) -> tuple[Any, Any]:
    """Return symbolic inputs and targets from what `build_config` returned."""
    targets = config["targets"]
    return _symbolic(config["inputs"]), None if targets is None else _symbolic(targets)


def _described(structure: Any) -> Any:
    if isinstance(structure, dict):
        return {"dict": {name: _described(value) for name, value in structure.items()}}
    if isinstance(structure, (list, tuple)):
        return {"list": [_described(value) for value in structure]}
    return {"shape": list(structure.shape), "dtype": structure.dtype}


def _symbolic(description: dict[str, Any]) -> Any:
    if "dict" in description:
        return {name: _symbolic(value) for name, value in description["dict"].items()}
    if "list" in description:
        return [_symbolic(value) for value in description["list"]]
    return keras.KerasTensor(tuple(description["shape"]), dtype=description["dtype"])
