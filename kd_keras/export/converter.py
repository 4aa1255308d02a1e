"""TensorFlow Lite's converter, set up for a preset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kd_keras.export.presets import Quantization

_NO_16_BIT_KERNEL = "16x8-bit not yet supported"


def converted(
    folder: Path,
    names: Sequence[str],
    quantization: Quantization,
    input_dtype: str | None,
    output_dtype: str | None,
    representative: Mapping[str, np.ndarray] | None,
) -> bytes:
    """Return the `.tflite` file of a SavedModel; arguments as for `conversion.convert`."""
    converter = configured_converter(folder, names, quantization, representative)
    if input_dtype is not None:
        converter.inference_input_type = tf.as_dtype(input_dtype)
    if output_dtype is not None:
        converter.inference_output_type = tf.as_dtype(output_dtype)
    try:
        return bytes(converter.convert())
    except Exception as error:
        if _NO_16_BIT_KERNEL not in str(error):
            raise
        # What has no kernel on int16 activations stays in float32; the caller reports which.
        converter.target_spec.supported_ops = [
            *converter.target_spec.supported_ops,
            tf.lite.OpsSet.TFLITE_BUILTINS,
        ]
        return bytes(converter.convert())


def configured_converter(
    folder: Path,
    names: Sequence[str],
    quantization: Quantization,
    representative: Mapping[str, np.ndarray] | None,
) -> tf.lite.TFLiteConverter:
    """Return the converter of a SavedModel's signatures, set up for a preset."""
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=list(names))
    # SELECT_TF_OPS is never among the allowed sets: with it a file could need the Flex delegate.
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if quantization in ("none", "weight_only"):
        return converter
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    elif quantization in ("int8", "int16x8") and representative is not None:
        examples = representative

        def one_by_one() -> Iterator[Any]:
            for name in names:
                for index in range(len(next(iter(examples.values())))):
                    one = {key: values[index][None] for key, values in examples.items()}
                    # One signature is calibrated without its name, several only with it.
                    yield one if len(names) == 1 else (name, one)

        converter.representative_dataset = one_by_one
        sets = tf.lite.OpsSet
        converter.target_spec.supported_ops = [
            sets.TFLITE_BUILTINS_INT8
            if quantization == "int8"
            else sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        ]
    return converter
