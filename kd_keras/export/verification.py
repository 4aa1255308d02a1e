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
# Another batch size adds in another order, which moves the last digits alone.
_NEIGHBOURS = 1e-4
_LOOKED_AT = 8


def keras_outputs(signature: Signature, examples: Examples) -> Examples:
    """Return the float32 outputs by name that Keras gives for a signature."""
    arrays = [
        examples[name].astype(spec.dtype.as_numpy_dtype)
        for name, spec in zip(signature.inputs.specs, signature.specs, strict=True)
    ]
    size = _size_of_the_file(signature, arrays)
    parts = [_run(signature, arrays, start, size) for start in range(0, len(arrays[0]), size)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _run(signature: Signature, arrays: Sequence[np.ndarray], start: int, size: int) -> Examples:
    batches = [array[start : start + size] for array in arrays]
    count = len(batches[0])
    if signature.inputs.own_batch is not None:
        batches = [np.resize(batch, (size, *batch.shape[1:])) for batch in batches]
    outputs = signature.traced(*map(tf.constant, batches))
    return {name: np.asarray(value, "float32")[:count] for name, value in outputs.items()}


def _size_of_the_file(signature: Signature, arrays: Sequence[np.ndarray]) -> int:
    """Return how many examples to give Keras at a time.

    As many as the file takes where an example's outputs depend on its neighbours (a spectrogram
    that is clipped below the loudest value of the batch); else more, which is faster.
    """
    fixed = signature.specs[0].shape[0]
    if signature.inputs.own_batch is not None:
        return signature.inputs.own_batch
    if fixed is None or fixed >= _BATCH_SIZE or len(arrays[0]) <= fixed:
        return fixed or _BATCH_SIZE
    together = _run(signature, arrays, 0, _BATCH_SIZE)
    # The loudest example of a batch does not depend on the others, so more than one is looked at.
    for start in range(0, min(_LOOKED_AT * fixed, len(arrays[0]) - fixed), fixed):
        for name, value in _run(signature, arrays, start, fixed).items():
            scale = max(1.0, float(np.abs(value).max()))
            beside = together[name][start : start + fixed]
            if float(np.abs(beside - value[: len(beside)]).max(initial=0)) > _NEIGHBOURS * scale:
                return int(fixed)
    return _BATCH_SIZE


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
    mean = float(difference.mean())
    return OutputDifference(name, largest, mean, agreement, mean / _variation(reference))


def _variation(reference: np.ndarray) -> float:
    """Return how much an output varies; of one that hardly does, a hundredth of its size."""
    values = reference.astype("float64")
    deviation = float(np.abs(values - values.mean()).mean())
    return max(deviation, 0.01 * float(np.abs(values).max()), 1e-9)
