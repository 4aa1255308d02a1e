"""Write a student as a `.tflite` file that was run against the student before it got its name."""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path
from typing import Any

import keras

from kd_keras.export.conversion import Quantization, check_quantization, convert
from kd_keras.export.examples import gather, random_examples
from kd_keras.export.fake_quantization import check_steps, has_trained_ranges
from kd_keras.export.result import ExportResult
from kd_keras.export.runtime import LiteModel
from kd_keras.export.student import check_student, computing_in_float32, input_spec
from kd_keras.export.verification import compare, student_outputs
from kd_keras.whole_file import written_beside

_ENOUGH_TO_CALIBRATE = 100
_RANDOM_EXAMPLES = 32


def to_tflite(
    student: keras.Model,
    path: str | os.PathLike[str],
    quantization: Quantization = "none",
    representative_data: Any = None,
    *,
    verification_data: Any = None,
    examples: int = 500,
    input_range: tuple[float, float] | None = (0.0, 255.0),
    batch_size: int | None = None,
) -> ExportResult:
    """Convert a Keras student to TensorFlow Lite, run the file on LiteRT, and say how close it is.

    The file uses builtin TFLite ops only, so it needs no Flex delegate. It takes the student's raw
    input as float32 and gives float32 outputs under every preset; an int8 file quantises inside.
    It appears under `path` after it was verified: on any failure, an earlier file of that name
    stays as it was.

    Args:
        student: A built functional, sequential or subclassed model of one input. Its outputs may be
            a tensor, or a list or dict of them; each one is verified. A student under a mixed
            policy is converted, and compared, in float32.
        path: The file to write, in an existing folder.
        quantization: "none" (float32), "float16" (weights at half the size), "dynamic" (int8
            weights, float activations) or "int8" (int8 weights and activations).
        representative_data: For "int8", the images that set the ranges of the activations: an array
            `(examples, ...)` or a `tf.data.Dataset` of batches x or (x, y), of unaugmented training
            images. The first `examples` count, so shuffle data that is sorted by class. A student
            with trained ranges (`kd_keras.quantize`) needs none, and sets none by them.
        verification_data: The images to verify on, in the same forms. Default: the representative
            data, and where there are none, 32 random images in `input_range`.
        examples: How many images to take at most from either, >= 1.
        input_range: Lowest and highest raw value that the student takes. Data outside it, or in
            0..1 where it ends above 1, are refused. None switches the check off.
        batch_size: The file's batch size; None leaves it open (LiteRT then starts at 1 and can be
            resized). Recurrent layers need a fixed one.

    Returns:
        `ExportResult` with the path, size, SHA-256, largest and mean difference from the Keras
        student, and top-1 agreement with it.

    Raises:
        TypeError: If `student` is no Keras model, or the data are neither an array nor a dataset.
        ValueError: If the student is not built, uses an op without a builtin kernel (the error
            lists them), the folder cannot be written, the data are missing, empty or of the wrong
            shape or range, or the file does not calculate what the student does.

    Example:

    >>> import keras, kd_keras, numpy as np
    >>> student = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),
    ...                             keras.layers.Dense(10)])
    >>> images = np.random.default_rng(0).integers(0, 256, (100, 8, 8, 1), dtype="uint8")
    >>> result = kd_keras.export.to_tflite(student, "student.tflite", "int8", images)
    >>> result.path.stat().st_size == result.bytes
    True

    Reference: Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", CVPR 2018, arXiv:1712.05877.
    """
    check_student(student)
    check_quantization(quantization)
    _check_count(examples, "examples")
    if batch_size is not None:
        _check_count(batch_size, "batch_size")
    _check_input_range(input_range)
    spec = input_spec(student, batch_size)
    is_trained = has_trained_ranges(student, spec)
    if is_trained and quantization != "int8":
        raise ValueError(
            "`student` has trained int8 ranges, and its file calculates with them: choose "
            "quantization='int8', or export the student that it was made from. "
            f"Received: quantization={quantization!r}"
        )
    if quantization == "int8" and representative_data is None and not is_trained:
        raise ValueError(
            "quantization='int8' needs `representative_data`, a few hundred unaugmented training "
            "images that set the ranges of the activations. For int8 weights without data choose "
            "quantization='dynamic'. Received: representative_data=None"
        )
    with written_beside(path) as beside:
        representative = None
        if representative_data is not None:
            representative = gather(
                representative_data, "representative_data", spec, input_range, examples
            )
        if verification_data is not None:
            verified = gather(verification_data, "verification_data", spec, input_range, examples)
        elif representative is not None:
            verified = representative
        else:
            verified = random_examples(spec, input_range, _RANDOM_EXAMPLES)
        if quantization == "int8" and representative is not None and not is_trained:
            _warn_if_few(len(representative))
        with computing_in_float32(student):
            content = convert(student, spec, quantization, None if is_trained else representative)
            expected = student_outputs(student, spec, verified)
        beside.write_bytes(content)
        model = LiteModel(beside)
        outputs = compare(model, expected, verified, exact=quantization == "none")
        if is_trained:
            check_steps(model, outputs)
        float_operators = model.float_operators()
    if quantization == "int8":
        _warn_of_float(float_operators)
    return ExportResult(
        path=Path(path),
        quantization=quantization,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        examples=len(verified),
        outputs=outputs,
        float_operators=float_operators,
    )


def _check_count(value: Any, argument: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"`{argument}` must be an integer >= 1. Received: {argument}={value!r}")


def _check_input_range(input_range: Any) -> None:
    if input_range is None:
        return
    values = tuple(input_range) if isinstance(input_range, (tuple, list)) else ()
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    if len(values) != 2 or not numbers or not values[0] < values[1]:
        raise ValueError(
            "`input_range` must be (low, high) with low < high, such as (0, 255), or None. "
            f"Received: input_range={input_range!r}"
        )


def _warn_if_few(count: int) -> None:
    if count < _ENOUGH_TO_CALIBRATE:
        warnings.warn(
            f"`representative_data` holds {count} examples. Fewer than {_ENOUGH_TO_CALIBRATE} "
            "often miss the ranges of the activations, which the int8 file then clips.",
            UserWarning,
            stacklevel=3,
        )


def _warn_of_float(operators: tuple[str, ...]) -> None:
    if operators:
        warnings.warn(
            f"The int8 file calculates these operators in float: {', '.join(operators)}. TFLite "
            "has no int8 kernel for them; on an integer-only accelerator the file will not run.",
            UserWarning,
            stacklevel=3,
        )
