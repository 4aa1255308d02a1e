"""What TensorFlow's distribution strategies do not let one ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
from tensorflow.python.distribute import distribute_lib
from tensorflow.python.eager.context import global_seed


class _CountsOne:
    """A strategy in all but its number of replicas."""

    num_replicas_in_sync = 1

    def __init__(self, strategy: Any):
        self._strategy = strategy

    def __getattr__(self, name: str) -> Any:
        return getattr(self._strategy, name)


@contextmanager
def as_if_alone() -> Iterator[None]:
    """Let code inside count one replica, in this thread and graph alone; in replica context.

    `keras.losses.Loss` divides its mean by the number of replicas (keras/src/losses/loss.py,
    `scale_loss_for_distribution`), and nothing at the outside tells whether a loss that returns a
    scalar did so. tensorflow/python/distribute/distribute_lib.py keeps a stack of modes for each
    thread and graph; the topmost answers `tf.distribute.get_strategy()`. The replica's context
    stays, by which mirrored variables find this replica's copies.
    """
    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync == 1:
        yield
        return
    context = tf.distribute.get_replica_context()
    mode = distribute_lib._ThreadMode(_CountsOne(strategy), None, context)
    distribute_lib._push_per_thread_mode(mode)
    try:
        yield
    finally:
        distribute_lib._pop_per_thread_mode()


def has_global_seed() -> bool:
    """Return whether `tf.random.set_seed` was called.

    tensorflow/python/eager/context.py; TensorFlow has no public reader of its seed.
    """
    return global_seed() is not None


def element_spec(epoch_iterator: Any) -> Any:
    """Return the specs of the batches behind the iterator that Keras hands to its build.

    keras/src/backend/tensorflow/trainer.py, `TFEpochIterator._distributed_dataset`.
    """
    return epoch_iterator._distributed_dataset.element_spec


def local_spec(spec: Any) -> Any:
    """Return the spec of this worker's first replica, `None` for what is optional and absent.

    tensorflow/python/distribute/values.py, `PerReplicaSpec._value_specs`.
    """
    spec = getattr(spec, "_value_specs", (spec,))[0]
    return None if isinstance(spec, tf.OptionalSpec) else spec
