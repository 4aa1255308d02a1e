"""A `.tflite` file as a model: raw images in, float outputs out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kd_keras.arguments import check_integer
from kd_keras.export.interpreter import (
    Encoding,
    invoke,
    open_interpreter,
    read_content,
    to_input,
    to_real,
    without_delegates,
)
from kd_keras.export.quiet import quiet_stderr

# The signature that TensorFlow gives the model itself.
_MAIN = "serving_default"
_BORDER = frozenset({"CAST", "DELEGATE", "DEQUANTIZE", "QUANTIZE"})


@dataclass(frozen=True)
class Operator:
    """One operator of a file.

    Attributes:
        name: TFLite's name of it, such as "CONV_2D".
        inputs: The dtypes of its inputs, such as ("int8", "int8", "int32").
        outputs: The dtypes of its outputs.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class LiteModel:
    """A `.tflite` file, loaded in the LiteRT interpreter.

    Inputs and outputs are in real units: where the file itself takes or gives int8 or uint8, they
    are quantised and dequantised by its own scales. One object serves one thread at a time.

    Args:
        path: The file.
        threads: How many threads its kernels may use, >= 1.
        signature: Which of the file's entry points to run; None for the student's own.
        xnnpack: Whether LiteRT may hand operators to its XNNPACK delegate, as it does by default.

    Attributes:
        path: The file.
        content: Its bytes.

    Raises:
        ValueError: If the file is missing, damaged or no TFLite file, or has no such signature.

    Example:

    >>> import keras, kd_keras, numpy as np
    >>> student = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),
    ...                             keras.layers.Dense(10)])
    >>> result = kd_keras.export.to_tflite(student, "student.tflite")
    >>> model = kd_keras.export.LiteModel("student.tflite")
    >>> model.predict(np.zeros((5, 8, 8, 1), "uint8")).shape
    (5, 10)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        threads: int = 1,
        xnnpack: bool = True,
        signature: str | None = None,
    ):
        threads = check_integer("threads", threads, 1, 1024)
        self.path = Path(path)
        self.content = read_content(self.path)
        options = {} if xnnpack else without_delegates()
        self._interpreter = open_interpreter(
            self.content, self.path, num_threads=threads, **options
        )
        names = tuple(self._interpreter.get_signature_list())
        if signature is not None and signature not in names:
            raise ValueError(
                f"`signature` must be one of {sorted(names)} of {str(self.path)!r}. "
                f"Received: signature={signature!r}"
            )
        self.signatures: tuple[str, ...] = names
        if not names:
            self._inputs = {each["name"]: each for each in self._interpreter.get_input_details()}
            self._outputs = {each["name"]: each for each in self._interpreter.get_output_details()}
            self._runner = None
            return
        main = _MAIN if _MAIN in names else names[0]
        runner = self._interpreter.get_signature_runner(signature or main)
        self._inputs = dict(runner.get_input_details())
        self._outputs = dict(runner.get_output_details())
        # A runner must not outlive this call where it is not used: while it lives, the interpreter
        # cannot resize an input. With several signatures only a runner reaches each of them.
        self._runner = runner if len(names) > 1 else None

    @property
    def input_shapes(self) -> dict[str, tuple[int | None, ...]]:
        """Shape of each input by name; None where the file leaves the size open."""
        return {
            name: tuple(None if size < 0 else int(size) for size in detail["shape_signature"])
            for name, detail in self._inputs.items()
        }

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of the one input; None where the file leaves the size open, as for the batch."""
        return self.input_shapes[self._one_input()]

    @property
    def input_dtype(self) -> np.dtype[Any]:
        """The dtype of the one input that the file itself takes."""
        return np.dtype(self._inputs[self._one_input()]["dtype"])

    @property
    def input_encoding(self) -> Encoding:
        """How the file stores its one input."""
        return self.input_encodings[self._one_input()]

    @property
    def input_encodings(self) -> dict[str, Encoding]:
        """How the file stores each input, by name."""
        return {name: Encoding.of(detail) for name, detail in self._inputs.items()}

    def output_encoding(self, name: str) -> Encoding:
        """Return how the file stores the output `name`."""
        return Encoding.of(self._outputs[name])

    @property
    def input_names(self) -> tuple[str, ...]:
        """The inputs' names, sorted."""
        return tuple(sorted(self._inputs))

    @property
    def output_names(self) -> tuple[str, ...]:
        """The outputs' names, sorted."""
        return tuple(sorted(self._outputs))

    def predict(self, images: Any, batch_size: int = 32) -> np.ndarray | dict[str, np.ndarray]:
        """Return the outputs for `images`: an array, or a dict by name where there are several.

        Args:
            images: Array `(examples, ...)`, raw images (0..255 for a student of this package) in
                any integer or floating dtype. For a file of several inputs a dict by their names.
            batch_size: How many to run at a time; a file of fixed batch size uses its own.

        Returns:
            Float32 array `(examples, ...)`; a dict of them for a file with several outputs.

        Raises:
            ValueError: If the images have another shape or dtype than the file takes.
        """
        outputs = self.predict_all(images, batch_size)
        return outputs if len(outputs) > 1 else next(iter(outputs.values()))

    def predict_all(self, images: Any, batch_size: int = 32) -> dict[str, np.ndarray]:
        """Like `predict`, with a dict by name for a single output too."""
        batch_size = check_integer("batch_size", batch_size, 1)
        values = self.checked(images)
        size = self.fixed_batch or batch_size
        count = len(next(iter(values.values())))
        parts = [
            self._run({name: array[start : start + size] for name, array in values.items()})
            for start in range(0, count, size)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def operators(self) -> tuple[Operator, ...]:
        """Return the file's operators in order, as written and not as a delegate fuses them."""
        plain = open_interpreter(self.content, self.path, **without_delegates())
        dtypes = {
            tensor["index"]: np.dtype(tensor["dtype"]).name for tensor in plain.get_tensor_details()
        }
        # LiteRT has no public call for this.
        return tuple(
            Operator(
                operator["op_name"],
                tuple(dtypes[index] for index in operator["inputs"] if index in dtypes),
                tuple(dtypes[index] for index in operator["outputs"] if index in dtypes),
            )
            for operator in plain._get_ops_details()
        )

    def float_operators(self) -> tuple[str, ...]:
        """Return the sorted names of the operators that calculate in floating point.

        Conversions of the dtype alone (QUANTIZE, DEQUANTIZE, CAST) do not count.
        """
        return tuple(
            sorted(
                {
                    operator.name
                    for operator in self.operators()
                    if operator.name not in _BORDER
                    and any(dtype.startswith("float") for dtype in operator.outputs)
                }
            )
        )

    def prepare(self, images: Any) -> Callable[[], None]:
        """Put one batch into the input tensors and return the function that runs the file on it.

        For timing: the returned function returns nothing, and does no copying unless the file has
        several signatures.
        """
        values = self.checked(images)
        fixed = self.fixed_batch
        if fixed is not None:
            values = {
                name: np.resize(array, (fixed, *array.shape[1:])) for name, array in values.items()
            }
        if self._runner is None:
            self._fill(values)
            invoke(self._interpreter, self.path)
            return self._interpreter.invoke
        runner, arguments = self._runner, self.as_taken(values)

        def run() -> None:
            runner(**arguments)

        return run

    def _one_input(self) -> str:
        if len(self._inputs) != 1:
            raise ValueError(
                f"{str(self.path)!r} must take one input for this. Received: a file with the "
                f"inputs {sorted(self._inputs)}; see `input_shapes`."
            )
        return next(iter(self._inputs))

    @property
    def fixed_batch(self) -> int | None:
        """The file's batch size; None where it is open."""
        return next((shape[0] for shape in self.input_shapes.values() if shape[0]), None)

    def checked(self, images: Any) -> dict[str, np.ndarray]:
        """Return arrays by the names of the inputs, or raise as `predict` does."""
        if isinstance(images, Mapping):
            values = {name: np.asarray(array) for name, array in images.items()}
        else:
            values = {self._one_input(): np.asarray(images)}
        if set(values) != set(self._inputs):
            raise ValueError(
                f"`images` must be a dict of the inputs {sorted(self._inputs)} that "
                f"{str(self.path)!r} takes. Received: a dict of {sorted(values)}"
            )
        for name, array in values.items():
            self._check(array, self.input_shapes[name])
        if len({len(array) for array in values.values()}) > 1:
            lengths = {name: len(array) for name, array in values.items()}
            raise ValueError(f"`images` must hold equally many of each. Received: {lengths}")
        return values

    def _check(self, images: np.ndarray, expected: tuple[int | None, ...]) -> None:
        fits = images.ndim == len(expected) and all(
            size is None or size == received
            for size, received in zip(expected[1:], images.shape[1:], strict=True)
        )
        if not fits or len(images) == 0:
            raise ValueError(
                f"`images` must have the shape {(None, *expected[1:])} that {str(self.path)!r} "
                f"takes, with at least one image. Received: shape {images.shape}"
            )
        if not np.issubdtype(images.dtype, np.number) or np.iscomplexobj(images):
            raise ValueError(f"`images` must hold real numbers. Received: dtype {images.dtype}")

    def _run(self, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        count = len(next(iter(values.values())))
        fixed = self.fixed_batch
        if fixed is not None and count < fixed:
            values = {
                name: np.concatenate([array, np.repeat(array[-1:], fixed - count, axis=0)])
                for name, array in values.items()
            }
        if self._runner is not None:
            outputs = self._runner(**self.as_taken(values))
        else:
            self._fill(values)
            invoke(self._interpreter, self.path)
            outputs = {
                name: self._interpreter.get_tensor(detail["index"])
                for name, detail in self._outputs.items()
            }
        return {
            name: to_real(outputs[name], detail)[:count] for name, detail in self._outputs.items()
        }

    def as_real(self, name: str, stored: np.ndarray) -> np.ndarray:
        """Return an output in real units, as float32, from what the file itself gives."""
        return to_real(stored, self._outputs[name])

    def as_taken(self, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return inputs in real units as the file itself takes them."""
        return {name: to_input(values[name], detail) for name, detail in self._inputs.items()}

    def _fill(self, values: dict[str, np.ndarray]) -> None:
        # Resizing plans the whole graph anew, so only where a shape changes.
        changed = [
            name
            for name, detail in self._inputs.items()
            if values[name].shape != tuple(detail["shape"])
        ]
        if changed:
            with quiet_stderr():
                for name in changed:
                    self._interpreter.resize_tensor_input(
                        self._inputs[name]["index"], values[name].shape, strict=True
                    )
                self._interpreter.allocate_tensors()
            by_index = {each["index"]: each for each in self._interpreter.get_input_details()}
            self._inputs = {
                name: by_index[detail["index"]] for name, detail in self._inputs.items()
            }
        for name, array in self.as_taken(values).items():
            self._interpreter.set_tensor(self._inputs[name]["index"], array)
