"""The LiteRT interpreter: open a file in it, and carry numbers over its border."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kd_keras.export.quiet import quiet_stderr
from kd_keras.export.trial import refuse_what_ends_a_process
from kd_keras.regular_file import open_regular

# A TFLite file is a flatbuffer that names its kind in bytes 4 to 8.
_IDENTIFIER = b"TFL3"
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
_CALCULATING = (
    *(*_WEIGHTED, "ADD", "SUB", "MUL", "MEAN", "AVERAGE_POOL_2D", "SOFTMAX", "LOGISTIC"),
    "CONCATENATION",
)
# Of a product of weights against that of its output: XNNPACK's own bound.
_MOST_SCALE = 256.0


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

    @classmethod
    def of(cls, detail: Mapping[str, Any]) -> Encoding:
        """Return that of a tensor, of which LiteRT gives this detail."""
        scale, zero_point = detail["quantization"]
        return cls(np.dtype(detail["dtype"]).name, float(scale), int(zero_point))


def read_content(path: Path) -> bytes:
    """Return the bytes of a `.tflite` file, or raise ValueError where it is none."""
    try:
        with open_regular(path) as file:
            content, size = file.read(8), file.seek(0, os.SEEK_END)
            if content[4:] == _IDENTIFIER:
                file.seek(0)
                content = file.read()
    except OSError as error:
        raise ValueError(
            f"Cannot read the .tflite file: {error.strerror}. Received: path={str(path)!r}"
        ) from error
    if content[4:8] != _IDENTIFIER:
        raise ValueError(
            "The file is no TFLite file (it lacks the mark 'TFL3'), or it was cut off. Export the "
            f"student again. Received: path={str(path)!r} of {size} bytes"
        )
    return content


class UnloadableError(ValueError):
    """LiteRT cannot load a file."""


def open_interpreter(content: bytes, path: Path, **options: Any) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    delegates = "experimental_op_resolver_type" not in options
    try:
        with quiet_stderr():
            plain = Interpreter(model_content=content, **without_delegates())
            if delegates:
                _refuse_what_aborts(plain)
    except (RuntimeError, ValueError) as error:
        raise _unloadable(error, content, path) from error
    refuse_what_ends_a_process(content, path, plain, delegates=delegates)
    try:
        with quiet_stderr():
            # From memory and not by name: LiteRT then checks the structure of the whole buffer,
            # and the file can be replaced meanwhile.
            interpreter = Interpreter(model_content=content, **options)
            interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise _unloadable(error, content, path) from error
    return interpreter


def _unloadable(error: Exception, content: bytes, path: Path) -> UnloadableError:
    return UnloadableError(
        f"LiteRT cannot load the .tflite file: {error}. It may be cut off or damaged, or need "
        "ops that are not built in; export the student again. "
        f"Received: path={str(path)!r} of {len(content)} bytes"
    )


def _refuse_what_aborts(plain: Any) -> None:
    """Raise where LiteRT, which is to run a file, would end the process instead of refusing it.

    It looks at none of the scales that a damaged file has lost. XNNPACK takes no product of weights
    whose output has a scale of 1/256 of the product's or less, such as that of a layer that was
    silent while the ranges were measured; refusing that of a FULLY_CONNECTED with bias and
    activation, LiteRT 2.3 frees memory twice.

    Args:
        plain: An interpreter without delegates.

    Raises:
        ValueError: If there is such an operator.
    """
    details = {detail["index"]: detail for detail in plain.get_tensor_details()}

    def scales(index: int) -> np.ndarray:
        detail = details[index]
        found: np.ndarray = detail["quantization_parameters"]["scales"]
        # 16-bit activations are not XNNPACK's.
        return found if detail["dtype"] in (np.int8, np.uint8) else found[:0]

    for operator in plain._get_ops_details():
        if operator["op_name"] in _CALCULATING:
            borders = (*operator["inputs"], *operator["outputs"])
            _refuse_lost_scales([details[int(index)] for index in borders if index in details])
        if operator["op_name"] not in _WEIGHTED:
            continue
        # A transposed convolution has the shape of its output before them.
        first = 1 if operator["op_name"] == "TRANSPOSE_CONV" else 0
        values, weights = (int(index) for index in operator["inputs"][first : first + 2])
        output = scales(int(operator["outputs"][0]))
        if not all(map(len, (scales(values), scales(weights), output))):
            continue  # not in int8
        if scales(values)[0] * scales(weights).max() >= _MOST_SCALE * output[0]:
            name = details[int(operator["outputs"][0])]["name"]
            raise ValueError(f"the range of {name!r} is too narrow for the weights before it")


def _refuse_lost_scales(tensors: Sequence[Mapping[str, Any]]) -> None:
    """Raise where tensors of one operator are in int8, and some of them without scales."""
    stored = [tensor for tensor in tensors if tensor["dtype"] in (np.int8, np.uint8)]
    scales = [tensor["quantization_parameters"]["scales"] for tensor in stored]
    for tensor, found in zip(stored, scales, strict=True):
        if any(map(len, scales)) and not len(found):
            raise ValueError(f"the scale of {tensor['name']!r} is lost")


def invoke(interpreter: Any, path: Path) -> None:
    """Run a file once, or raise ValueError where one of its operators refuses.

    An operator does so where its kernel lacks a dtype, or where what it reads is not there yet: a
    variable of a file with state that nothing in the file sets first.
    """
    try:
        interpreter.invoke()
    except RuntimeError as error:
        remedy = (
            "It must set its state before it reads it: convert the model again with its state as "
            "an input and an output."
            if "VARIABLE" in str(error)
            else "Choose another quantization, or replace the layer with that operator."
        )
        raise ValueError(
            f"LiteRT loads the .tflite file and cannot run it: {error} {remedy} "
            f"Received: path={str(path)!r}"
        ) from error


def without_delegates() -> dict[str, Any]:
    from ai_edge_litert.interpreter import OpResolverType

    return {"experimental_op_resolver_type": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES}


def to_input(images: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    scale, zero_point = detail["quantization"]
    dtype = np.dtype(detail["dtype"])
    if scale:
        limits = np.iinfo(dtype)
        images = np.clip(np.round(images / scale) + zero_point, limits.min, limits.max)
    return images.astype(dtype)


def to_real(output: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    scale, zero_point = detail["quantization"]
    if scale:
        return (output.astype("float32") - zero_point) * np.float32(scale)
    return output.astype("float32")
