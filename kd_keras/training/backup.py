"""One backup for all workers: `keras.callbacks.BackupAndRestore` where several would clash."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kd_keras.compat.model import begin_with_epoch, first_epoch


def shared_backups(callbacks: Any, strategy: Any) -> Any:
    """Return the callbacks of `fit` such that the chief's backup is the backup of all workers.

    Keras's callback lets every worker write and delete the same files, and restores whatever each
    finds: a job killed between two writes would go on with different epochs and weights. Here the
    chief alone writes and reads, and the others get epoch and state from it.

    Args:
        callbacks: As `fit` takes them.
        strategy: The multi-worker strategy.

    Raises:
        ValueError: If a `CallbackList` holds a backup, which cannot be exchanged there.
    """
    backup = keras.callbacks.BackupAndRestore
    if isinstance(callbacks, keras.callbacks.CallbackList):
        if any(isinstance(callback, backup) for callback in callbacks.callbacks):
            raise ValueError(
                "`callbacks` must be a list where BackupAndRestore is to work on several workers. "
                "Received: a CallbackList. Pass the callbacks themselves."
            )
        return callbacks
    shared: list[Any] = []
    for callback in [] if callbacks is None else keras.tree.flatten(callbacks):
        # Saving reads no metric, for which all workers would be needed.
        if not isinstance(callback, backup) or strategy.extended.should_checkpoint:
            shared.append(callback)
        if isinstance(callback, backup):
            shared.append(StartTogether())
    return shared


class StartTogether(keras.callbacks.Callback):
    """Begin on all workers with the epoch and the state that the chief has."""

    def on_train_begin(self, logs: Any = None) -> None:
        strategy = self.model.distribute_strategy
        variables = [*self.model.variables]
        if self.model.optimizer is not None:
            variables += self.model.optimizer.variables
        # Metrics are reset before every epoch.
        variables = [v for v in variables if v.synchronization != "on_read"]
        epoch = np.array(first_epoch(self.model) or 0, "int64")
        values = [epoch, *(keras.ops.convert_to_numpy(variable) for variable in variables)]
        epoch, *values = _of_the_chief(values, strategy)
        begin_with_epoch(self.model, int(epoch) or None)
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def _of_the_chief(arrays: list[np.ndarray], strategy: Any) -> list[np.ndarray]:
    """Return the arrays that the chief passes, on every worker; shapes are the same on all."""
    found: list[Any] = [None] * len(arrays)
    # What every backend of `all_reduce` can move, wide enough for what travels in it.
    carriers = [_carrier(array) for array in arrays]
    for carrier in sorted(set(carriers)):
        places = [place for place, own in enumerate(carriers) if own == carrier]
        flat = np.concatenate([arrays[place].astype(carrier).ravel() for place in places])
        flat = _first_replica(tf.constant(flat), strategy).numpy()
        ends = np.cumsum([arrays[place].size for place in places])
        for place, part in zip(places, np.split(flat, ends[:-1]), strict=True):
            found[place] = part.astype(arrays[place].dtype).reshape(arrays[place].shape)
    return found


def _carrier(array: np.ndarray) -> str:
    if array.dtype.kind in "iub":
        return "int64"
    return "float64" if array.dtype == np.float64 else "float32"


def _first_replica(vector: tf.Tensor, strategy: Any) -> tf.Tensor:
    @tf.function(autograph=False)
    def share() -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        is_first = tf.equal(context.replica_id_in_sync_group, 0)
        mine = tf.where(is_first, vector, tf.zeros_like(vector))
        return context.all_reduce(tf.distribute.ReduceOp.SUM, mine)

    return strategy.experimental_local_results(strategy.run(share))[0]
