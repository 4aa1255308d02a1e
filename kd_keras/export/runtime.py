"""A `.tflite` file as a model: raw images in, float outputs out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kd_keras.export.quiet import quiet_stderr

# A TFLite file is a flatbuffer that names its kind in bytes 4 to 8.
_IDENTIFIER = b"TFL3"
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
        if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
            raise ValueError(f"`threads` must be an integer >= 1. Received: threads={threads!r}")
        self.path = Path(path)
        self._content = _read(self.path)
        options = {} if xnnpack else _without_delegates()
        self._interpreter = _interpreter(self._content, self.path, num_threads=threads, **options)
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
    def input_quantization(self) -> tuple[float, int]:
        """Scale and zero point of the one input; (0.0, 0) where it takes real numbers."""
        scale, zero_point = self._inputs[self._one_input()]["quantization"]
        return float(scale), int(zero_point)

    @property
    def output_dtypes(self) -> dict[str, np.dtype[Any]]:
        """The dtype of each output that the file itself gives."""
        return {name: np.dtype(self._outputs[name]["dtype"]) for name in self.output_names}

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
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
            raise ValueError(
                f"`batch_size` must be an integer >= 1. Received: batch_size={batch_size!r}"
            )
        values = self._checked(images)
        size = self._fixed_batch or batch_size
        count = len(next(iter(values.values())))
        parts = [
            self._run({name: array[start : start + size] for name, array in values.items()})
            for start in range(0, count, size)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def operators(self) -> tuple[Operator, ...]:
        """Return the file's operators in order, as written and not as a delegate fuses them."""
        plain = _interpreter(self._content, self.path, **_without_delegates())
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
        values = self._checked(images)
        fixed = self._fixed_batch
        if fixed is not None:
            values = {
                name: np.resize(array, (fixed, *array.shape[1:])) for name, array in values.items()
            }
        if self._runner is None:
            self._fill(values)
            return self._interpreter.invoke
        runner, arguments = self._runner, self._as_taken(values)

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
    def _fixed_batch(self) -> int | None:
        return next((shape[0] for shape in self.input_shapes.values() if shape[0]), None)

    def _checked(self, images: Any) -> dict[str, np.ndarray]:
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
        fixed = self._fixed_batch
        if fixed is not None and count < fixed:
            values = {
                name: np.concatenate([array, np.repeat(array[-1:], fixed - count, axis=0)])
                for name, array in values.items()
            }
        if self._runner is not None:
            outputs = self._runner(**self._as_taken(values))
        else:
            self._fill(values)
            self._interpreter.invoke()
            outputs = {
                name: self._interpreter.get_tensor(detail["index"])
                for name, detail in self._outputs.items()
            }
        return {
            name: _to_real(outputs[name], detail)[:count] for name, detail in self._outputs.items()
        }

    def _as_taken(self, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: _to_input(values[name], detail) for name, detail in self._inputs.items()}

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
        for name, array in self._as_taken(values).items():
            self._interpreter.set_tensor(self._inputs[name]["index"], array)


def predict(
    path: str | os.PathLike[str], dataset: tf.data.Dataset, *, threads: int = 1
) -> tuple[Any, Any]:
    """Run a `.tflite` file over a whole split.

    Args:
        path: The file.
        dataset: A finite `tf.data.Dataset` of batches (x, y) or (x, y, weight), x raw images.
        threads: How many threads the kernels may use.

    Returns:
        `(outputs, labels)`: what `LiteModel.predict` gives for all x, and all y as one array, in
        the dataset's order. `kd_keras.evaluate.accuracy(outputs, labels)` takes them as they are.

    Raises:
        ValueError: If the file is damaged, or the dataset is empty, endless or without labels.

    Example:

    >>> import keras, kd_keras, tensorflow as tf
    >>> student = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),
    ...                             keras.layers.Dense(10)])
    >>> result = kd_keras.export.to_tflite(student, "student.tflite")
    >>> test = tf.data.Dataset.from_tensors((tf.zeros((5, 8, 8, 1), tf.uint8), [0, 0, 0, 3, 4]))
    >>> logits, labels = kd_keras.export.predict("student.tflite", test)
    >>> kd_keras.evaluate.accuracy(logits, labels)
    0.6
    """
    model = LiteModel(path, threads=threads)
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError("`dataset` must end. Received: a repeated dataset; leave `.repeat()` out.")
    outputs: list[dict[str, np.ndarray]] = []
    labels: list[np.ndarray] = []
    for element in dataset:
        if not isinstance(element, tuple) or len(element) < 2:
            raise ValueError(
                "`dataset` must yield (x, y), because accuracy needs labels. "
                f"Received: elements {dataset.element_spec!r}"
            )
        x = element[0]
        images = (
            {name: part.numpy() for name, part in x.items()} if isinstance(x, dict) else x.numpy()
        )
        outputs.append(model.predict_all(images, batch_size=len(element[1])))
        labels.append(element[1].numpy())
    if not outputs:
        raise ValueError(f"`dataset` must hold at least one batch. Received: {dataset!r}")
    whole = {name: np.concatenate([part[name] for part in outputs]) for name in outputs[0]}
    every = np.concatenate(labels)
    return (whole if len(whole) > 1 else next(iter(whole.values()))), every


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"Cannot read the .tflite file: {error.strerror}. Received: path={str(path)!r}"
        ) from error
    if content[4:8] != _IDENTIFIER:
        raise ValueError(
            "The file is no TFLite file (it lacks the mark 'TFL3'), or it was cut off. Export the "
            f"student again. Received: path={str(path)!r} of {len(content)} bytes"
        )
    return content


def _interpreter(content: bytes, path: Path, **options: Any) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    try:
        with quiet_stderr():
            # From memory and not by name: LiteRT then checks the structure of the whole buffer,
            # and the file can be replaced meanwhile.
            interpreter = Interpreter(model_content=content, **options)
            interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"LiteRT cannot load the .tflite file: {error}. It may be cut off or damaged, or need "
            "ops that are not built in; export the student again. "
            f"Received: path={str(path)!r} of {len(content)} bytes"
        ) from error
    return interpreter


def _without_delegates() -> dict[str, Any]:
    from ai_edge_litert.interpreter import OpResolverType

    return {"experimental_op_resolver_type": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES}


def _to_input(images: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    scale, zero_point = detail["quantization"]
    dtype = np.dtype(detail["dtype"])
    if scale:
        limits = np.iinfo(dtype)
        images = np.clip(np.round(images / scale) + zero_point, limits.min, limits.max)
    return images.astype(dtype)


def _to_real(output: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    scale, zero_point = detail["quantization"]
    if scale:
        return (output.astype("float32") - zero_point) * np.float32(scale)
    return output.astype("float32")
