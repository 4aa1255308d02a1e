"""Random numbers for one image: a function of the seed, the corruption and the image itself."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


class Draws:
    """The random numbers of one image.

    They depend on nothing but the seed and the pixels, so an image is corrupted alike whatever its
    place in a batch, the size of the batch and the order of the data.

    Args:
        image: The image, before anything is done to it.
        seed: Any integer.
        index: Number of the corruption, so that two of them draw different numbers.
    """

    def __init__(self, image: tf.Tensor, seed: int, index: int):
        content = tf.strings.to_hash_bucket_fast(tf.io.serialize_tensor(image), 2**62)
        self._key = tf.stack([content, tf.constant(seed * 100 + index, tf.int64)])
        self._count = 0

    def uniform(self, shape: Any, low: float = 0.0, high: float = 1.0) -> tf.Tensor:
        """Return values in [low, high)."""
        return tf.random.stateless_uniform(shape, self._next(), low, high)

    def normal(self, shape: Any, deviation: float, mean: float = 0.0) -> tf.Tensor:
        """Return normal values."""
        return tf.random.stateless_normal(shape, self._next(), mean, deviation)

    def poisson(self, rates: tf.Tensor) -> tf.Tensor:
        """Return a count for each rate."""
        return tf.random.stateless_poisson(tf.shape(rates), self._next(), rates, tf.float32)

    def _next(self) -> tf.Tensor:
        self._count += 1
        return tf.random.experimental.stateless_fold_in(self._key, self._count)
