"""Bring feature maps to one size: the sizes are static, so the windows are known beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops


def average_pool_to(features: Any, sizes: Sequence[int | None]) -> Any:
    """Return `features` averaged to the given sizes.

    Output position i of an axis is the mean of the input positions from floor(i * n / m) to
    ceil((i + 1) * n / m), for n inputs and m outputs: blocks where m divides n, overlapping windows
    elsewhere, repetition where m > n.

    Args:
        features: Float tensor `(batch, *positions, channels)`.
        sizes: The size wanted for each axis of positions; `None`, or the size that the axis has,
            leaves it alone.

    Example:

    >>> import numpy as np
    >>> from kd_keras.losses.contract.spatial import average_pool_to
    >>> average_pool_to(np.arange(4.0).reshape(1, 4, 1), [2]).numpy().ravel().tolist()
    [0.5, 2.5]
    """
    for axis, size in enumerate(sizes, start=1):
        if size is not None and features.shape[axis] != size:
            features = _average_pooled(features, axis, size)
    return features


def nearest_to(features: Any, sizes: Sequence[int]) -> Any:
    """Return `features` resized by repeating (or dropping) positions, `(batch, *sizes, channels)`.

    Output position i is input position floor(i * n / m).
    """
    for axis, size in enumerate(sizes, start=1):
        present = features.shape[axis]
        if present != size:
            features = ops.take(features, np.arange(size) * present // size, axis=axis)
    return features


def smaller_sizes(first: Any, second: Any) -> list[int | None]:
    """Return the smaller size of each axis of positions of two feature shapes.

    Raises:
        ValueError: If just one of two sizes is known.
    """
    sizes: list[int | None] = []
    for one, other in zip(tuple(first)[1:-1], tuple(second)[1:-1], strict=True):
        if (one is None) != (other is None):
            raise ValueError(
                "Features can be brought to one size only if both sizes are known. Received: "
                f"shapes {tuple(first)} and {tuple(second)}. Give the models' inputs a fixed size."
            )
        sizes.append(None if one is None else min(one, other))
    return sizes


def same_size(teacher: Any, student: Any) -> tuple[Any, Any]:
    """Return both feature tensors with the bigger one averaged to the size of the smaller one."""
    sizes = smaller_sizes(teacher.shape, student.shape)
    return average_pool_to(teacher, sizes), average_pool_to(student, sizes)


def _average_pooled(features: Any, axis: int, size: int) -> Any:
    given = features.shape[axis]
    if given % size == 0:
        shape = ops.shape(features)
        windows = ops.reshape(features, (*shape[:axis], size, given // size, *shape[axis + 1 :]))
        return ops.mean(windows, axis=axis + 1)
    # Not a product with a matrix of means: on a GPU that would run in TensorFloat-32.
    starts = [index * given // size for index in range(size)]
    stops = [-((index + 1) * -given // size) for index in range(size)]
    before = (slice(None),) * axis
    means = [
        ops.mean(features[(*before, slice(start, stop))], axis=axis)
        for start, stop in zip(starts, stops, strict=True)
    ]
    return ops.stack(means, axis=axis)
