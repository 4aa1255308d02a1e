"""Run a written file on LiteRT and compare it with the Keras student that it came from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from kd_keras.export.examples import Examples
from kd_keras.export.result import OutputDifference
from kd_keras.export.runtime import LiteModel
from kd_keras.export.signature import MAIN, Signature

# A float32 file repeats the student's arithmetic in another order. Beyond this part of the largest
# output it does something else.
_FLOAT32_TOLERANCE = 1e-3
_BATCH_SIZE = 32


def keras_outputs(signature: Signature, examples: Examples) -> Examples:
    """Return the float32 outputs by name that Keras gives for a signature."""
    arrays = [
        examples[name].astype(spec.dtype.as_numpy_dtype)
        for name, spec in zip(signature.inputs.specs, signature.specs, strict=True)
    ]
    parts = []
    for start in range(0, len(arrays[0]), _BATCH_SIZE):
        outputs = signature.traced(
            *(tf.constant(array[start : start + _BATCH_SIZE]) for array in arrays)
        )
        parts.append({name: np.asarray(value, "float32") for name, value in outputs.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def verify_signatures(
    beside: LiteModel,
    expected: Sequence[tuple[Signature, Examples]],
    examples: Examples,
    exact: bool,
) -> tuple[OutputDifference, ...]:
    """Return the differences of the file's outputs from what Keras gives, for all signatures.

    Args:
        beside: The loaded file, at the student's own signature.
        expected: Each signature with its outputs by name.
        examples: The inputs by name.
        exact: Whether the file is float32 and must repeat the student's numbers.
    """
    found: list[OutputDifference] = []
    for signature, outputs in expected:
        model = beside
        if signature.name != MAIN:
            model = LiteModel(beside.path, signature=signature.name)
        found.extend(compare(model, outputs, examples, exact))
    return tuple(found)


def compare(
    model: LiteModel, expected: Examples, examples: Examples, exact: bool
) -> tuple[OutputDifference, ...]:
    """Return the differences of the file's outputs from the `expected` ones.

    Args:
        model: The loaded file.
        expected: The Keras student's outputs on the same examples.
        examples: The inputs, `(examples, ...)` each, by name.
        exact: Whether the file is float32 and must repeat the student's numbers.

    Raises:
        ValueError: If an output is missing, not finite, of another shape, or, for an `exact` file,
            not what the student gives.
    """
    outputs = model.predict_all(examples, batch_size=_BATCH_SIZE)
    return tuple(
        _compare_one(name, reference, outputs.get(name), exact)
        for name, reference in expected.items()
    )


def _compare_one(
    name: str, reference: np.ndarray, output: np.ndarray | None, exact: bool
) -> OutputDifference:
    if output is None or output.shape != reference.shape:
        shape = None if output is None else output.shape
        raise ValueError(
            f"The converted file does not give the student's output {name!r} of shape "
            f"{reference.shape}. Received: shape {shape}. Nothing was kept."
        )
    if not np.isfinite(reference).all():
        raise ValueError(
            f"The output {name!r} of `student` is not finite on the verification data, so nothing "
            "can be verified. Look for NaN weights in the student. Nothing was written."
        )
    difference = np.abs(output.astype("float64") - reference)
    largest = float(difference.max())
    scale = max(1.0, float(np.abs(reference).max()))
    if not np.isfinite(largest) or (exact and largest > _FLOAT32_TOLERANCE * scale):
        raise ValueError(
            f"The converted file does not calculate what `student` does: output {name!r} differs "
            f"by {largest:g} where the student's largest value is {scale:g}. Is the student random "
            "at inference, or does it change its own weights when called? Nothing was kept."
        )
    agreement = None
    if reference.ndim > 1 and reference.shape[-1] > 1:
        agreement = float(np.mean(output.argmax(-1) == reference.argmax(-1)))
    return OutputDifference(name, largest, float(difference.mean()), agreement)
