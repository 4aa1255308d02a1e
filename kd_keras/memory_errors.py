"""Out of memory, told in words. Below every room, and without TensorFlow."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator
from typing import Any

_WORDS = re.compile(
    r"OOM when allocating|out of memory|failed to allocate|bad_alloc|cannot allocate memory"
    r"|Dst tensor is not initialized",
    re.IGNORECASE,
)
_TENSOR = re.compile(r"tensor with shape ?\[([\d,]+)\] and type (\w+)")
_BYTES = {"double": 8, "int64": 8, "half": 2, "bfloat16": 2, "uint8": 1, "int8": 1, "bool": 1}
LOWER = (
    "Lower the batch size or the size of the images; networks of `kd_keras.models` with "
    "`rematerialize=True` keep less for the backward pass."
)


class OutOfMemoryError(MemoryError):
    """There is less memory than was asked for; nothing that was written is lost."""


def reason(error: BaseException) -> str | None:
    """Return why memory ran out, in a few words, or None where `error` is of something else."""
    text = str(error)
    if isinstance(error, MemoryError):
        return text.strip() or "Python could not allocate what it needs"
    # Not by its class: a full disk is a ResourceExhaustedError of TensorFlow's too.
    if not type(error).__module__.startswith("tensorflow") or not _WORDS.search(text):
        return None
    found = _TENSOR.search(text)
    if found is None:
        return _WORDS.search(text)[0]  # type: ignore[index]
    shape = tuple(int(side) for side in found[1].split(","))
    size = math.prod(shape) * _BYTES.get(found[2], 4)
    return f"no room for a tensor of shape {shape} and type {found[2]}, {size / 1e6:,.0f} MB"


@contextlib.contextmanager
def told(asked: str, lower: str = LOWER) -> Iterator[None]:
    """Raise `OutOfMemoryError` where memory runs out in the block.

    Args:
        asked: What was asked for, such as "batches of (256, 224, 224, 3)".
        lower: What to do.
    """
    try:
        yield
    except OutOfMemoryError as error:
        # Told within, where more is known of what was asked for.
        raise OutOfMemoryError(f"{error} {lower}" if lower not in str(error) else str(error)) from (
            error.__cause__
        )
    except Exception as error:
        why = reason(error)
        if why is None:
            raise
        raise OutOfMemoryError(
            f"There is not enough memory: {why}. Asked for: {asked}. {lower}"
        ) from error


def batches_of(data: Any, batch_size: int | None = None) -> str:
    """Return in words what batches `fit` and `evaluate` make of their data.

    Args:
        data: Their `x`.
        batch_size: Theirs.
    """
    import keras

    spec = getattr(data, "element_spec", None)
    if spec is not None:
        inputs = spec[0] if isinstance(spec, tuple) else spec
        shapes = [str(getattr(part, "shape", "?")) for part in keras.tree.flatten(inputs)]
    else:
        arrays = [array for array in keras.tree.flatten(data) if hasattr(array, "shape")]
        shapes = [str((batch_size or 32, *array.shape[1:])) for array in arrays]
    told_shapes = " and ".join(shape.replace("None", "?") for shape in shapes)
    return f"batches of shape {told_shapes}" if shapes else "batches of the data"
