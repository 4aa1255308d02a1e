"""Turn a Keras student into the bytes of a `.tflite` file, without ops that a phone lacks."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from typing import Literal, get_args

import keras
import numpy as np
import tensorflow as tf

from kd_keras.export.quiet import quiet_converter
from kd_keras.export.student import INPUT_NAME, inference

Quantization = Literal["none", "float16", "dynamic", "int8"]


def check_quantization(quantization: str) -> None:
    """Raise unless `quantization` is one of the presets."""
    if quantization not in get_args(Quantization):
        raise ValueError(
            f"`quantization` must be one of {', '.join(map(repr, get_args(Quantization)))}. "
            f"Received: quantization={quantization!r}"
        )


def convert(
    student: keras.Model,
    spec: tf.TensorSpec,
    quantization: Quantization,
    representative: np.ndarray | None,
) -> bytes:
    """Return the `.tflite` file of the student's inference as bytes.

    Args:
        student: A built model of one input.
        spec: The input's shape (a batch size of None stays open) and dtype.
        quantization: The preset.
        representative: For "int8" the calibration examples, `(examples, ...)` of `spec.dtype`.

    Raises:
        ValueError: If TensorFlow Lite has no builtin kernel for what the student does.
    """
    with tempfile.TemporaryDirectory() as folder:
        archive = keras.export.ExportArchive()
        archive.track(student)
        archive.add_endpoint("serving_default", inference(student), [spec])
        with quiet_converter():
            archive.write_out(folder, verbose=False)
            converter = tf.lite.TFLiteConverter.from_saved_model(folder)
            _configure(converter, quantization, representative)
            try:
                return converter.convert()
            except Exception as error:
                failure = error
    operations = unsupported_operations(str(failure))
    if operations:
        raise ValueError(_unsupported(student, operations, quantization))
    first_line = str(failure).strip().partition("\n")[0]
    raise ValueError(
        f"TensorFlow Lite could not convert `student` {student.name!r} with "
        f"quantization={quantization!r}. It said: {first_line[:500]}"
    ) from failure


def _configure(
    converter: tf.lite.TFLiteConverter,
    quantization: Quantization,
    representative: np.ndarray | None,
) -> None:
    # SELECT_TF_OPS is never among the allowed sets: with it a file could need the Flex delegate.
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if quantization == "none":
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    elif quantization == "int8" and representative is not None:
        examples = representative

        def one_by_one() -> Iterator[dict[str, np.ndarray]]:
            for example in examples:
                yield {INPUT_NAME: example[None]}

        converter.representative_dataset = one_by_one
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]


def unsupported_operations(message: str) -> tuple[str, ...]:
    """Return the names of the ops that a converter's error complains of, sorted."""
    found: set[str] = set()
    for names in re.findall(r"^(?:TF Select|Custom) ops: (.+)$", message, re.MULTILINE):
        found.update(name.strip() for name in names.split(","))
    found.update(re.findall(r"'tf\.(\w+)' op is neither a custom op nor a flex op", message))
    if not found and "ensor list ops" in message:
        # The loop of a recurrent layer is kept in a list whose size an open batch leaves unknown.
        found.update(re.findall(r'fused\["(TensorList\w+):', message))
    return tuple(sorted(found))


def _unsupported(
    student: keras.Model, operations: tuple[str, ...], quantization: Quantization
) -> str:
    listed = ", ".join(operations)
    if all(name.startswith("TensorList") for name in operations):
        remedy = (
            "They come from a recurrent layer or a loop over an open batch: pass batch_size=1, or "
            "build the layer with unroll=True."
        )
    else:
        remedy = (
            "Replace the layers that use them by layers of builtin ops (convolutions, matrix "
            "products, pooling, element-wise arithmetic), or move them out of the student into the "
            "input pipeline. The Flex delegate is not used, because few phones ship it."
        )
    return (
        f"TensorFlow Lite has no builtin kernel for these ops of `student` {student.name!r} with "
        f"quantization={quantization!r}: {listed}. {remedy} Nothing was written."
    )
