"""Where a replica's examples stand in the global batch."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

# What every backend of `all_gather` can move; the rest travels as one of these.
_GATHERABLE = (tf.float32, tf.float64, tf.int32, tf.int64)


class Rows(NamedTuple):
    """The examples at hand, as positions in the global batch.

    Attributes:
        index: Their positions, `(count,)` int32.
        extent: One more than the last position that this replica holds, int32 scalar.
        total: Examples on all replicas together, int32 scalar.
        leading: Whether `index` is exactly `0 .. extent - 1`.
    """

    index: tf.Tensor
    extent: tf.Tensor
    total: tf.Tensor
    leading: bool

    def subset(self, chosen: tf.Tensor) -> Rows:
        """Return the rows at the local indices `chosen`."""
        return Rows(tf.gather(self.index, chosen), self.extent, self.total, leading=False)


def only_rows(x: Any) -> Rows:
    """Return the rows of `x` as if it were the whole batch."""
    count = tf.shape(x)[0]
    return Rows(tf.range(count), count, count, leading=True)


def local_rows(x: Any) -> Rows:
    """Return the rows of this replica's part `x` of the batch."""
    count = tf.shape(x)[0]
    context = _replicated_context()
    if context is None:
        return only_rows(x)
    counts = context.all_gather(tf.reshape(count, [1]), axis=0)
    before = tf.range(tf.shape(counts)[0]) < tf.cast(context.replica_id_in_sync_group, tf.int32)
    offset = tf.reduce_sum(tf.where(before, counts, tf.zeros_like(counts)))
    return Rows(offset + tf.range(count), offset + count, tf.reduce_sum(counts), leading=False)


def gather_global(tensor: Any) -> tf.Tensor:
    """Return `tensor` of all replicas, concatenated along the batch in replica order."""
    tensor = tf.convert_to_tensor(tensor)
    context = _replicated_context()
    if context is None:
        return tensor
    if tensor.dtype in _GATHERABLE:
        return context.all_gather(tensor, axis=0)
    carrier = tf.float32 if tensor.dtype.is_floating else tf.int32
    return tf.cast(context.all_gather(tf.cast(tensor, carrier), axis=0), tensor.dtype)


def _replicated_context() -> Any:
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return None
    return context
