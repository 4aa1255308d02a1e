"""The few places where a step must know that it is one of several replicas."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def count() -> int:
    """Return the number of replicas in sync; 1 without a strategy."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def local_component(variable: Any) -> tf.Variable:
    """Return this replica's own copy of a Keras or TensorFlow variable.

    Assigning to the copy needs no aggregation, so it is allowed inside a `tf.cond`, where assigning
    to the mirrored variable is not.
    """
    raw = getattr(variable, "value", variable)
    if count() == 1:
        return raw
    strategy = tf.distribute.get_strategy()
    context = tf.distribute.get_replica_context()
    copies = strategy.experimental_local_results(raw)
    # Replicas are numbered over all workers, which have equally many, and the copies are ours.
    return copies[tf.get_static_value(context.replica_id_in_sync_group) % len(copies)]


def any_replica(flag: tf.Tensor) -> tf.Tensor:
    """Return whether the boolean scalar `flag` is true on any replica, the same on all of them."""
    if count() == 1:
        return flag
    context = tf.distribute.get_replica_context()
    votes = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.cast(flag, tf.float32))
    return votes > 0


def share_of_replica(value: tf.Tensor) -> tf.Tensor:
    """Scale this replica's mean so that the sum over replicas is the mean of the global batch."""
    return value / float(count())
