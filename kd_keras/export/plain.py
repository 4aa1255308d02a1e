"""A `.tflite` file run operator by operator, so that every tensor of it can be read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kd_keras.export.interpreter import (
    invoke,
    open_interpreter,
    read_content,
    to_input,
    to_real,
    without_delegates,
)
from kd_keras.export.quiet import quiet_stderr


@dataclass(frozen=True)
class Node:
    """One operator and its tensors.

    Attributes:
        kind: TFLite's name of it, such as "CONV_2D".
        inputs: Indices of the tensors it reads; -1 for an optional one that is absent.
        outputs: Indices of the tensors it writes.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class PlainModel:
    """A loaded file whose operators run one after the other, as they are written.

    Args:
        content: The file's bytes.
        path: What errors call it.
        keep: Whether every tensor keeps its value after a run; otherwise they share memory as on a
            phone.

    Raises:
        ValueError: If the file is damaged.
    """

    def __init__(self, content: bytes, path: Path, *, keep: bool = False):
        self._interpreter = open_interpreter(
            content, path, experimental_preserve_all_tensors=keep, **without_delegates()
        )
        self.content = content
        self.path = path
        self.constants = constant_tensors(content)
        # LiteRT has no public call for this.
        self.nodes = tuple(
            Node(
                operator["op_name"],
                tuple(map(int, operator["inputs"])),
                tuple(map(int, operator["outputs"])),
            )
            for operator in self._interpreter._get_ops_details()
        )
        self.details: dict[int, Mapping[str, Any]] = {}
        self.read_details()

    @property
    def inputs(self) -> tuple[int, ...]:
        """Indices of the tensors that the graph takes."""
        return tuple(int(detail["index"]) for detail in self._interpreter.get_input_details())

    def run(self, values: Mapping[int, np.ndarray]) -> None:
        """Put values in real units into the inputs, by their indices, and run the graph."""
        changed = {
            index: value
            for index, value in values.items()
            if tuple(value.shape) != tuple(self.details[index]["shape"])
        }
        if changed:
            with quiet_stderr():
                for index, value in changed.items():
                    self._interpreter.resize_tensor_input(index, value.shape)
                self._interpreter.allocate_tensors()
            self.read_details()
        for index, value in values.items():
            self._interpreter.set_tensor(index, to_input(value, self.details[index]))
        invoke(self._interpreter, self.path)

    def real(self, index: int) -> np.ndarray:
        """Return a tensor's value in real units, as float32."""
        return to_real(self._interpreter.get_tensor(index), self.details[index])

    def memory(self, index: int) -> tuple[int, int] | None:
        """Return the address and the bytes of a tensor, or None where it has no place of its own.

        A variable's handle, a list and strings have none: to ask for it would end the process.
        """
        if np.dtype(self.details[index]["dtype"]).kind not in "biufc":
            return None
        try:
            view = self._interpreter.tensor(index)()
        except ValueError:
            return None
        # The view must not outlive this call: LiteRT refuses to run while there is one.
        return int(view.__array_interface__["data"][0]), int(view.nbytes)

    def read_details(self) -> None:
        """Note the shapes and dtypes that the tensors have now."""
        self.details = {
            int(detail["index"]): detail for detail in self._interpreter.get_tensor_details()
        }


def open_plain(path: str | os.PathLike[str], *, keep: bool = False) -> PlainModel:
    """Load a file for `PlainModel` and run it once on zeros.

    In a file of open batch size some shapes are known, and their tensors allocated, only then.
    """
    path = Path(path)
    model = PlainModel(read_content(path), path, keep=keep)
    model.run(
        {
            index: np.zeros(model.details[index]["shape"], model.details[index]["dtype"])
            for index in model.inputs
        }
    )
    model.read_details()
    return model


def constant_tensors(content: bytes) -> frozenset[int]:
    """Return the indices of the main graph's tensors whose values stand in the file."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content)
    graph = model.Subgraphs(0)
    return frozenset(
        index
        for index in range(graph.TensorsLength())
        # Values beyond 2 GiB stand after the flatbuffer, at an offset above 1.
        if (buffer := model.Buffers(graph.Tensors(index).Buffer())).DataLength() > 0
        or buffer.Offset() > 1
    )
