"""Where a replica's examples stand in the global batch."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

# What every backend of `all_reduce` can move; the rest travels as one of these.
_REDUCIBLE = (tf.float32, tf.float64, tf.int32, tf.int64)


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
    number = tf.cast(context.replica_id_in_sync_group, tf.int32)
    own = count * tf.one_hot(number, context.num_replicas_in_sync, dtype=tf.int32)
    counts = context.all_reduce(tf.distribute.ReduceOp.SUM, own)
    offset = tf.reduce_sum(counts[:number])
    return Rows(offset + tf.range(count), offset + count, tf.reduce_sum(counts), leading=False)


def gather_global(tensor: Any) -> tf.Tensor:
    """Return `tensor` of all replicas, concatenated along the batch in replica order."""
    tensor = tf.convert_to_tensor(tensor)
    context = _replicated_context()
    if context is None:
        return tensor
    rows = local_rows(tensor)
    # A sum of parts among zeros, because `all_gather` fails with one replica in each of several
    # processes ("destinations can not be empty").
    offset = rows.extent - tf.shape(tensor)[0]
    around = [[offset, rows.total - rows.extent], *([0, 0] for _ in tensor.shape[1:])]
    carried = tensor
    if tensor.dtype not in _REDUCIBLE:
        carried = tf.cast(tensor, tf.float32 if tensor.dtype.is_floating else tf.int32)
    whole = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.pad(carried, around))
    return tf.ensure_shape(tf.cast(whole, tensor.dtype), [None, *tensor.shape[1:]])


def _replicated_context() -> Any:
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return None
    return context
