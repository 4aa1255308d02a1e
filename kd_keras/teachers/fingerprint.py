"""Tell whether the weights of a network are what they were."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf


class Fingerprint:
    """Hash all weights of a model, in one call of one graph.

    Args:
        model: A built `keras.Model` or `keras.Layer`.
    """

    def __init__(self, model: Any):
        self._weights = [weight for weight in model.weights if np.prod(weight.shape) > 0]
        # The graph must neither keep the model alive nor be kept by it: of the weights only.
        if self._weights:
            # One graph for good: TensorFlow would take those of several models for one retraced.
            hashing = tf.function(self._hash_weights, autograph=False)
            self._hash = hashing.get_concrete_function()

    def __call__(self) -> bytes:
        """Return 8 bytes for each weight: FarmHash64 of its bytes."""
        return bytes(np.asarray(self._hash())) if self._weights else b""

    def _hash_weights(self) -> tf.Tensor:
        rows = [
            tf.fingerprint(tf.reshape(keras.ops.convert_to_tensor(weight), (1, -1)))
            for weight in self._weights
        ]
        return tf.concat(rows, axis=0)
