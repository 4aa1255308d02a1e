"""`fit` and `evaluate` under `MultiWorkerMirroredStrategy`, where those of Keras 3.15 fail.

The one place where private functions of Keras's trainer are replaced, and only where a strategy has
replicas in other processes. Issue keras-team/keras#20585; the lines are those of
keras/src/backend/tensorflow/trainer.py.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.eager.context import global_seed

from kd_keras.step.backup import shared_backups


def has_other_workers(strategy: Any) -> bool:
    """Whether some of the replicas in sync run in other processes."""
    return (
        isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        and len(strategy.extended.worker_devices) < strategy.num_replicas_in_sync
    )


class MultiWorkerSteps(keras.Model):
    """The part of a model that makes Keras's loops run on several workers.

    Workers must take part in the same collective operations in the same order. Nothing here may
    therefore be traced, read or skipped on one worker alone.
    """

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        # Keras takes a batch and reduces it over the replicas (`strategy.reduce("MEAN", batch)`),
        # which fails for those of the other workers. Shapes and dtypes are all that it needs.
        if iterator is None or not has_other_workers(self.distribute_strategy):
            super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)
            return
        element_spec = iterator._distributed_dataset.element_spec
        with self.distribute_strategy.scope():
            self._symbolic_build(data_batch=keras.tree.map_structure(_local_spec, element_spec))

    def _make_function(self, step_function: Callable[..., Any]) -> Callable[..., Any]:
        # Keras reduces the logs by `strategy.reduce("MEAN", value, axis=0)` in
        # `reduce_per_replica`, which fails for scalars.
        if not has_other_workers(self.distribute_strategy):
            return super()._make_function(step_function)
        strategy = self.distribute_strategy

        @tf.autograph.experimental.do_not_convert
        def step(data: Any) -> Any:
            return _mean_of_replicas(step_function(data))

        @tf.autograph.experimental.do_not_convert
        def one_step(iterator: Any) -> Any:
            # Batches are taken inside the graph, where their size is open. Given as tensors, the
            # smaller last batch of one worker alone would have the step traced anew there alone,
            # and from then on no collective operation would meet its partner.
            run = self._autoconvert_optionals(lambda data: strategy.run(step, args=(data,)))
            logs = run(iterator.get_next())
            return keras.tree.map_structure(
                lambda value: strategy.experimental_local_results(value)[0], logs
            )

        if not self.run_eagerly:
            one_step = tf.function(one_step, reduce_retracing=True)

        def function(iterator: Any) -> Any:
            if not isinstance(iterator, tf.distribute.DistributedIterator):
                raise ValueError(
                    "`train_on_batch` and `test_on_batch` cannot run on several workers, which "
                    "would have to call them with batches of equal shapes at the same time. "
                    f"Received: {type(strategy).__name__} with {strategy.num_replicas_in_sync} "
                    "replicas. Use `fit` and `evaluate` with a `tf.data.Dataset`."
                )
            logs = None
            for _ in range(self.steps_per_execution):
                try:
                    logs = one_step(iterator)
                except tf.errors.OutOfRangeError:
                    if logs is None:
                        raise
                    break
            return logs

        return function

    @functools.wraps(keras.Model.fit)
    def fit(self, *args: Any, **kwargs: Any) -> Any:
        if has_other_workers(self.distribute_strategy):
            given = inspect.signature(keras.Model.fit).bind(self, *args, **kwargs)
            _refuse_orders_that_differ(given.arguments)
            callbacks = given.arguments.get("callbacks")
            given.arguments["callbacks"] = shared_backups(callbacks, self.distribute_strategy)
            args, kwargs = given.args[1:], given.kwargs
        with _lost_workers_explained():
            return super().fit(*args, **kwargs)

    @functools.wraps(keras.Model.evaluate)
    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        with _lost_workers_explained():
            return super().evaluate(*args, **kwargs)


@contextmanager
def _lost_workers_explained() -> Iterator[None]:
    """Say what to do where TensorFlow gives up on the other workers."""
    try:
        yield
    except tf.errors.OpError as error:
        start = error.message.find("Collective ops is aborted")
        if start < 0:
            raise
        raise tf.errors.UnavailableError(
            error.node_def,
            error.op,
            "Another worker failed or was lost, and the ones that are left cannot go on without "
            "it. Start all workers again, this one too; with the callback "
            "`keras.callbacks.BackupAndRestore` they go on from the last backup. TensorFlow says: "
            f"{error.message[start:]}",
        ) from None


def _refuse_orders_that_differ(arguments: dict[str, Any]) -> None:
    """Raise where each worker would shuffle the arrays by a seed of its own and take its part."""
    arrays = arguments.get("x")
    leaves = keras.tree.flatten(arrays)
    are_arrays = bool(leaves) and all(isinstance(leaf, (np.ndarray, tf.Tensor)) for leaf in leaves)
    if are_arrays and arguments.get("shuffle", True) and global_seed() is None:
        raise ValueError(
            "`fit` shuffles arrays, and several workers must do so alike: each takes its part of "
            "every batch. Received: arrays, shuffle=True and no seed. Call "
            "`keras.utils.set_random_seed` with the same number on every worker, or pass "
            "shuffle=False, or a `tf.data.Dataset` that shuffles with a seed."
        )


def _local_spec(spec: Any) -> Any:
    """Return the spec of this worker's first replica, `None` for what is optional and absent."""
    spec = getattr(spec, "_value_specs", (spec,))[0]
    return None if isinstance(spec, tf.OptionalSpec) else spec


def _mean_of_replicas(logs: Any) -> Any:
    """Return the mean of scalar logs over all replicas; in replica context."""
    leaves = [tf.cast(leaf, tf.float32) for leaf in keras.tree.flatten(logs)]
    if not leaves:
        return logs
    # A list travels as one tensor.
    context = tf.distribute.get_replica_context()
    means = context.all_reduce(tf.distribute.ReduceOp.MEAN, leaves)
    return keras.tree.pack_sequence_as(logs, means)
