"""Embeddings of the features of both networks on one sphere, for the contrastive losses."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def unit_length(values: Any) -> Any:
    """Return `values` divided by their norm along the last axis; zeros stay zeros.

    Example:

    >>> import numpy as np
    >>> from kd_keras.losses.contract.embedding import unit_length
    >>> [round(value, 6) for value in unit_length(np.array([[3.0, 4.0]])).numpy().ravel().tolist()]
    [0.6, 0.8]
    """
    squares = ops.sum(ops.square(values), axis=-1, keepdims=True)
    # The maximum keeps value and gradient finite where all values are 0.
    return values * ops.rsqrt(ops.maximum(squares, 1e-12))


class Embedding(keras.layers.Layer):
    """Flatten the features of one network, map them linearly, and give them unit length.

    Args:
        dimensions: Length of the embedding.
    """

    def __init__(self, dimensions: int, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.dimensions = dimensions
        self.linear = keras.layers.Dense(dimensions, dtype="float32", name="linear")

    def build(self, shape: Any) -> None:
        if None in shape[1:]:
            raise ValueError(
                "The contrastive losses flatten the features, so their sizes must be known. "
                f"Received: features of shape {tuple(shape)}. Tap the pooled features, or give the "
                "models' inputs a fixed size."
            )
        features = 1
        for size in shape[1:]:
            features *= size
        self.features = features
        self.linear.build((shape[0], features))
        self.built = True

    def call(self, features: Any) -> Any:
        return unit_length(self.linear(ops.reshape(features, (-1, self.features))))
