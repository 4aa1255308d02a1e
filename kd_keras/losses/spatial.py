"""Bring feature maps to one size: the sizes are static, so each axis is one constant matrix."""

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
    >>> from kd_keras.losses.spatial import average_pool_to
    >>> average_pool_to(np.arange(4.0).reshape(1, 4, 1), [2]).numpy().ravel().tolist()
    [0.5, 2.5]
    """
    for axis, size in enumerate(sizes, start=1):
        present = features.shape[axis]
        if size is not None and present != size:
            weights = ops.convert_to_tensor(_pooling_matrix(present, size), features.dtype)
            pooled = ops.tensordot(weights, features, axes=[[1], [axis]])
            features = ops.moveaxis(pooled, 0, axis)
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


def _pooling_matrix(present: int, size: int) -> np.ndarray:
    matrix = np.zeros((size, present), "float32")
    for row in range(size):
        start, stop = row * present // size, -(-(row + 1) * present // size)
        matrix[row, start:stop] = 1.0 / (stop - start)
    return matrix
