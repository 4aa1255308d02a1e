"""Norms and unit vectors whose gradients stay finite where a vector is zero or constant."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from keras import ops

# Shorter vectors count as zero: the smallest norm by which PyTorch's `normalize` divides.
_SHORTEST = 1e-12
# Differences below this share of the largest value are float32 rounding: equal inputs to a
# vectorised `exp` may come out one unit in the last place apart.
_RESOLUTION = 1e-6


def norm(vectors: Any, axis: int = -1, keepdims: bool = False) -> Any:
    """Return the L2 norm along `axis`; the gradient of a zero vector is 0 and not NaN."""
    squared = ops.sum(ops.square(vectors), axis=axis, keepdims=keepdims)
    is_zero = ops.equal(squared, 0.0)
    # The root is taken of 1 where the norm is 0: a `where` around sqrt(0) alone gives 0 * inf.
    return ops.where(is_zero, 0.0, ops.sqrt(ops.where(is_zero, 1.0, squared)))


def l2_normalize(vectors: Any, axis: int = -1) -> Any:
    """Return the unit vectors along `axis`; zero vectors stay zero, with gradient 0."""
    squared = ops.sum(ops.square(vectors), axis=axis, keepdims=True)
    is_zero = squared <= _SHORTEST**2
    return ops.where(is_zero, 0.0, vectors * ops.rsqrt(ops.where(is_zero, 1.0, squared)))


def is_constant(values: Any, axis: int, valid: Any = None) -> Any:
    """Return whether the values along `axis` are equal, as far as float32 can tell.

    Args:
        values: Float tensor.
        axis: The axis along which values are compared; it is kept, with size 1.
        valid: Booleans that broadcast to `values`; the others are left out. `None` for all.

    Returns:
        Boolean tensor. Where no value is valid, `True`.
    """
    upper = lower = values
    if valid is not None:
        upper = ops.where(valid, values, -float("inf"))
        lower = ops.where(valid, values, float("inf"))
    # Not those of Keras, which refuse an empty batch.
    largest = tf.reduce_max(upper, axis=axis, keepdims=True)
    smallest = tf.reduce_min(lower, axis=axis, keepdims=True)
    scale = ops.maximum(ops.abs(largest), ops.abs(smallest))
    return largest - smallest <= _RESOLUTION * scale
