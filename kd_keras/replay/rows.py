"""One recorded view as bytes: who it is, and what the teacher says of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

_IDENTITY_BYTES = 4
_NUMBER_BYTES = 2
_SMALL_IDS = 2**16
# Half of the last bit of a float32 sum near 1: less cannot be told from no rest at all.
_SMALLEST_REST = 2.0**-24


@dataclasses.dataclass(frozen=True)
class RowFormat:
    """How a view is stored: identity, the ids of the k likeliest classes, their log-probabilities.

    ```
    uint32 identity | k x uint16 class | k x float16 log p,  p = softmax(teacher logits)
    ```

    That is 4 + 4k bytes. With k = all classes there are no ids, and 4 + 2k bytes; beyond 65,536
    classes ids take four bytes. The logarithm is what a half can hold of a confident teacher:
    0.9999 as a float16 is 1, and the rest of it, which is what distillation is about, is gone;
    its logarithm is right to three digits.

    Attributes:
        classes: Number of classes, at least 2.
        k: How many of them are stored, 1 to `classes`.
    """

    classes: int
    k: int

    @property
    def all_classes(self) -> bool:
        """Whether nothing is left out."""
        return self.k == self.classes

    @property
    def dtype(self) -> np.dtype:
        """The NumPy type of a row, without gaps."""
        ids = [] if self.all_classes else [("classes", f"<u{self._id_bytes}", (self.k,))]
        return np.dtype([("identity", "<u4"), *ids, ("log_probabilities", "<f2", (self.k,))])

    @property
    def _id_bytes(self) -> int:
        return 2 if self.classes <= _SMALL_IDS else 4

    def chosen(self, log_probabilities: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return (ids, log-probabilities) of what is stored, of `(batch, classes)` float32."""
        if self.all_classes:
            return tf.zeros([0], tf.int32), tf.cast(log_probabilities, tf.float16)
        values, ids = tf.math.top_k(log_probabilities, k=self.k)
        return ids, tf.cast(values, tf.float16)

    def packed(self, identity: Any, ids: Any, log_probabilities: Any) -> np.ndarray:
        """Return rows of `dtype` from NumPy arrays: identities and what `chosen` returned."""
        rows = np.empty(len(identity), self.dtype)
        rows["identity"] = identity
        rows["log_probabilities"] = log_probabilities
        if not self.all_classes:
            rows["classes"] = ids
        return rows

    def identities(self, raw: tf.Tensor) -> tf.Tensor:
        """Return the identities, `(batch,)` int64, of rows as bytes, `(batch, itemsize)` uint8."""
        return tf.cast(tf.bitcast(raw[:, :_IDENTITY_BYTES], tf.uint32), tf.int64)

    def dense(self, raw: tf.Tensor) -> tf.Tensor:
        """Return the log-probabilities of all classes, `(batch, classes)` float32.

        What the stored ones leave of 1 is shared evenly by the others.

        Args:
            raw: Rows as bytes, `(batch, itemsize)` uint8.
        """
        batch = tf.shape(raw)[0]
        start = self.dtype.itemsize - _NUMBER_BYTES * self.k
        halves = tf.reshape(raw[:, start:], [batch, self.k, _NUMBER_BYTES])
        stored = tf.cast(tf.bitcast(halves, tf.float16), tf.float32)
        if self.all_classes:
            return stored
        others = self.classes - self.k
        rest = 1.0 - tf.reduce_sum(tf.exp(stored), axis=1, keepdims=True)
        rest = tf.math.log(tf.maximum(rest, _SMALLEST_REST) / others)
        words = tf.reshape(raw[:, _IDENTITY_BYTES:start], [batch, self.k, self._id_bytes])
        ids = tf.bitcast(words, tf.uint16 if self._id_bytes == _NUMBER_BYTES else tf.uint32)
        rows = tf.repeat(tf.range(batch)[:, tf.newaxis], self.k, axis=1)
        places = tf.stack([rows, tf.cast(ids, tf.int32)], axis=-1)
        return tf.tensor_scatter_nd_update(tf.tile(rest, [1, self.classes]), places, stored)
