"""The few places where a step must know that it is one of several replicas."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras.src.losses.loss as keras_loss
import tensorflow as tf

_scope = threading.local()


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


@contextmanager
def undivided_losses() -> Iterator[None]:
    """Let `keras.losses.Loss` instances called inside return their mean, whatever the strategy.

    They divide it by the number of replicas, and nothing at the outside tells whether a loss that
    returns a scalar did so. Every replica traces in a thread of its own and they take turns inside
    the block, so the switch is one per thread.
    """
    if count() == 1:
        yield
        return
    if not isinstance(keras_loss.scale_loss_for_distribution, _Scaling):
        keras_loss.scale_loss_for_distribution = _Scaling(keras_loss.scale_loss_for_distribution)
    outer = getattr(_scope, "undivided", False)
    _scope.undivided = True
    try:
        yield
    finally:
        _scope.undivided = outer


class _Scaling:
    """Keras's own function outside of `undivided_losses`, the identity inside."""

    def __init__(self, original: Callable[[Any], Any]):
        self._original = original

    def __call__(self, value: Any) -> Any:
        return value if getattr(_scope, "undivided", False) else self._original(value)
