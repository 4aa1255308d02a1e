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


@dataclass(frozen=True)
class Encoding:
    """How a file stores a tensor: real = (stored - zero_point) * scale.

    Attributes:
        dtype: The dtype that is stored, such as "uint8".
        scale: The step; 0 where the tensor is stored as it is.
        zero_point: What stands for 0.
    """

    dtype: str
    scale: float
    zero_point: int


class LiteModel:
    """A `.tflite` file of one input, loaded in the LiteRT interpreter.

    Inputs and outputs are in real units: where the file itself takes or gives int8 or uint8, they
    are quantised and dequantised by its own scales. One object serves one thread at a time.

    Args:
        path: The file.
        threads: How many threads its kernels may use, >= 1.

    Attributes:
        path: The file.
        content: Its bytes.

    Raises:
        ValueError: If the file is missing, damaged, no TFLite file, or takes more than one input.

    Example:

    >>> import keras, kd_keras, numpy as np
    >>> student = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),
    ...                             keras.layers.Dense(10)])
    >>> result = kd_keras.export.to_tflite(student, "student.tflite")
    >>> model = kd_keras.export.LiteModel("student.tflite")
    >>> model.predict(np.zeros((5, 8, 8, 1), "uint8")).shape
    (5, 10)
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int = 1):
        if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
            raise ValueError(f"`threads` must be an integer >= 1. Received: threads={threads!r}")
        self.path = Path(path)
        self.content = read_content(self.path)
        self._interpreter = _interpreter(self.content, self.path, num_threads=threads)
        inputs = self._interpreter.get_input_details()
        if len(inputs) != 1:
            raise ValueError(
                f"{str(self.path)!r} must take one input. Received: a file with {len(inputs)}."
            )
        self._input = inputs[0]
        self._outputs = _named_outputs(self._interpreter)

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of the input; None where the file leaves the size open, as for the batch."""
        return tuple(None if size < 0 else int(size) for size in self._input["shape_signature"])

    @property
    def input_dtype(self) -> np.dtype[Any]:
        """The dtype that the file itself takes."""
        return np.dtype(self._input["dtype"])

    @property
    def input_encoding(self) -> Encoding:
        """How the file stores its input."""
        return _encoding(self._input)

    def output_encoding(self, name: str) -> Encoding:
        """Return how the file stores the output `name`."""
        return _encoding(self._outputs[name])

    @property
    def output_names(self) -> tuple[str, ...]:
        """The outputs' names, sorted."""
        return tuple(sorted(self._outputs))

    def predict(self, images: Any, batch_size: int = 32) -> np.ndarray | dict[str, np.ndarray]:
        """Return the outputs for `images`: an array, or a dict by name where there are several.

        Args:
            images: Array `(examples, ...)`, raw images (0..255 for a student of this package) in
                any integer or floating dtype.
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
        values = self._checked(np.asarray(images))
        size = self.input_shape[0] or batch_size
        parts = [self._run(values[i : i + size]) for i in range(0, len(values), size)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def operators(self) -> tuple[Operator, ...]:
        """Return the file's operators in order, as written and not as a delegate fuses them."""
        from ai_edge_litert.interpreter import OpResolverType

        plain = _interpreter(
            self.content,
            self.path,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
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
        """Put one batch into the input tensor and return the function that runs the file on it.

        For timing: the returned function does no copying and returns nothing.
        """
        values = self._checked(np.asarray(images))
        fixed = self.input_shape[0]
        if fixed is not None and fixed != len(values):
            values = np.repeat(values[:1], fixed, axis=0)
        self._fill(values)
        return self._interpreter.invoke

    def _checked(self, images: np.ndarray) -> np.ndarray:
        expected = self.input_shape
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
        return images

    def _run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        count = len(images)
        fixed = self.input_shape[0]
        if fixed is not None and count < fixed:
            images = np.concatenate([images, np.repeat(images[-1:], fixed - count, axis=0)])
        self._fill(images)
        self._interpreter.invoke()
        return {
            name: _to_real(self._interpreter.get_tensor(detail["index"]), detail)[:count]
            for name, detail in self._outputs.items()
        }

    def _fill(self, images: np.ndarray) -> None:
        # Resizing plans the whole graph anew, so only where the shape changes.
        if images.shape != tuple(self._input["shape"]):
            with quiet_stderr():
                self._interpreter.resize_tensor_input(
                    self._input["index"], images.shape, strict=True
                )
                self._interpreter.allocate_tensors()
            self._input = self._interpreter.get_input_details()[0]
        self._interpreter.set_tensor(self._input["index"], _to_input(images, self._input))


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
        outputs.append(model.predict_all(element[0].numpy(), batch_size=len(element[0])))
        labels.append(element[1].numpy())
    if not outputs:
        raise ValueError(f"`dataset` must hold at least one batch. Received: {dataset!r}")
    whole = {name: np.concatenate([part[name] for part in outputs]) for name in outputs[0]}
    every = np.concatenate(labels)
    return (whole if len(whole) > 1 else next(iter(whole.values()))), every


def read_content(path: Path) -> bytes:
    """Return the bytes of a `.tflite` file, or raise ValueError where it is none."""
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


def _named_outputs(interpreter: Any) -> dict[str, Mapping[str, Any]]:
    if not interpreter.get_signature_list():
        return {detail["name"]: detail for detail in interpreter.get_output_details()}
    # The runner must not outlive this call: while it lives, the input cannot be resized.
    return dict(interpreter.get_signature_runner().get_output_details())


def _encoding(detail: Mapping[str, Any]) -> Encoding:
    scale, zero_point = detail["quantization"]
    return Encoding(np.dtype(detail["dtype"]).name, float(scale), int(zero_point))


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
