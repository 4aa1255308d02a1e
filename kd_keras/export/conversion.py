"""Turn a Keras student into the bytes of a `.tflite` file, without ops that a phone lacks."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from kd_keras import memory_errors
from kd_keras.export.converter import converted
from kd_keras.export.loops import CrashError, converted_apart
from kd_keras.export.presets import Quantization
from kd_keras.export.quiet import quiet_converter
from kd_keras.export.signature import Signature, tracked
from kd_keras.export.weight_only import weights_in_int8
from kd_keras.whole_file import reason_not_written, scratch_folder

_NOT_CALIBRATED = "should be recorded during calibration"


def convert(
    student: keras.Model,
    signatures: Sequence[Signature],
    quantization: Quantization,
    representative: Mapping[str, np.ndarray] | None,
    *,
    input_dtype: str | None = None,
    output_dtype: str | None = None,
    loops: bool = False,
) -> bytes:
    """Return the `.tflite` file of the student's inference as bytes.

    Args:
        student: A built model, for its name in errors.
        signatures: What the file offers, the student's own first.
        quantization: The preset.
        representative: For integer presets the calibration examples, `(examples, ...)` of each
            input's dtype, by the input's name.
        input_dtype: For integer presets: what the file takes, float32 where None.
        output_dtype: For integer presets: what the file gives, float32 where None.
        loops: For integer presets: whether there are loops in it, which are calibrated in a process
            of their own, because they may end it.

    Raises:
        ValueError: If TensorFlow Lite has no builtin kernel for what the student does, or cannot
            calibrate its loops.
    """
    with saved(signatures) as folder:
        names = [signature.name for signature in signatures]
        settings = (names, quantization, input_dtype, output_dtype)
        try:
            if loops and representative is not None:
                content = converted_apart(folder, settings, representative)
            else:
                with quiet_converter():
                    content = converted(folder, *settings, representative)
        except Exception as error:
            if memory_errors.reason(error) or reason_not_written(error):
                raise  # not the student's fault
            if isinstance(error, CrashError):
                raise _not_calibrated(student, quantization, str(error)) from error
            # The converter's own error is pages long; where it is understood, it is not shown.
            refusal = _refusal(student, quantization, error)
            raise refusal from (None if unsupported_operations(str(error)) else error)
        if quantization != "weight_only":
            return content
        with scratch_folder() as folder:
            plain = folder / "float32.tflite"
            plain.write_bytes(content)
            return weights_in_int8(plain)


@contextlib.contextmanager
def saved(signatures: Sequence[Signature]) -> Iterator[Path]:
    """Yield a folder with the SavedModel of these signatures, until the block ends."""
    with scratch_folder() as folder:
        archive = keras.export.ExportArchive()
        for model in tracked(signatures):
            archive.track(model)
        for signature in signatures:
            archive.add_endpoint(signature.name, signature, signature.specs)
        with quiet_converter():
            archive.write_out(str(folder), verbose=False)
        yield folder


def _refusal(student: keras.Model, quantization: Quantization, failure: Exception) -> ValueError:
    operations = unsupported_operations(str(failure))
    if operations:
        return ValueError(_unsupported(student, operations, quantization))
    first_line = str(failure).strip().partition("\n")[0]
    if _NOT_CALIBRATED in first_line:
        return _not_calibrated(student, quantization, f"it said: {first_line[:300]}")
    return ValueError(
        f"TensorFlow Lite could not convert `student` {student.name!r} with "
        f"quantization={quantization!r}. It said: {first_line[:500]}"
    )


def _not_calibrated(student: keras.Model, quantization: str, reason: str) -> ValueError:
    return ValueError(
        f"TensorFlow Lite cannot calibrate the loops of `student` {student.name!r} for "
        f"quantization={quantization!r}: {reason}. Write out their steps (a Python `for` over a "
        "known number of them, or a cell in keras.layers.RNN, which is written out by itself), or "
        "choose 'dynamic', 'float16' or 'weight_only'. Nothing was written."
    )


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
