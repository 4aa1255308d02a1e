"""`fit` and `evaluate` under `MultiWorkerMirroredStrategy`, where those of Keras 3.15 fail.

Only where a strategy has replicas in other processes. Issue keras-team/keras#20585. Workers must
take part in the same collective operations in the same order, so nothing here may be traced, read
or skipped on one worker alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kd_keras.compat.model import OpenModel
from kd_keras.compat.strategy import element_spec, has_global_seed, local_spec
from kd_keras.training.backup import shared_backups


def has_other_workers(strategy: Any) -> bool:
    """Whether some of the replicas in sync run in other processes."""
    return (
        isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        and len(strategy.extended.worker_devices) < strategy.num_replicas_in_sync
    )


def local_specs(iterator: Any) -> Any:
    """Return the specs of this worker's part of a batch, without taking one.

    Keras takes a batch and reduces it over the replicas (`strategy.reduce("MEAN", batch)`), which
    fails for those of the other workers. Shapes and dtypes are all that it needs.
    """
    return keras.tree.map_structure(local_spec, element_spec(iterator))


def step_on_all_workers(model: OpenModel, step_function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of an iterator that runs one step, or several, on all workers together.

    Keras reduces the logs by `strategy.reduce("MEAN", value, axis=0)` in `reduce_per_replica`,
    which fails for scalars.

    Args:
        model: The model, under a strategy that `has_other_workers`.
        step_function: Its `train_step` or `test_step`.
    """
    strategy = model.distribute_strategy

    @tf.autograph.experimental.do_not_convert
    def step(data: Any) -> Any:
        return _mean_of_replicas(step_function(data))

    @tf.autograph.experimental.do_not_convert
    def one_step(iterator: Any) -> Any:
        # Batches are taken inside the graph, where their size is open. Given as tensors, the
        # smaller last batch of one worker alone would have the step traced anew there alone, and
        # from then on no collective operation would meet its partner.
        run = model.with_optionals(lambda data: strategy.run(step, args=(data,)))
        logs = run(iterator.get_next())
        return keras.tree.map_structure(
            lambda value: strategy.experimental_local_results(value)[0], logs
        )

    if not model.run_eagerly:
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
        for _ in range(model.steps_per_execution):
            try:
                logs = one_step(iterator)
            except tf.errors.OutOfRangeError:
                if logs is None:
                    raise
                break
        return logs

    return function


def prepare_fit(arguments: dict[str, Any], strategy: Any) -> None:
    """Change the arguments of `fit` to what works on several workers, or refuse them.

    Args:
        arguments: Of `keras.Model.fit`, by name.
        strategy: A strategy that `has_other_workers`.
    """
    _refuse_orders_that_differ(arguments)
    arguments["callbacks"] = shared_backups(arguments.get("callbacks"), strategy)


@contextmanager
def lost_workers_explained() -> Iterator[None]:
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
    if are_arrays and arguments.get("shuffle", True) and not has_global_seed():
        raise ValueError(
            "`fit` shuffles arrays, and several workers must do so alike: each takes its part of "
            "every batch. Received: arrays, shuffle=True and no seed. Call "
            "`keras.utils.set_random_seed` with the same number on every worker, or pass "
            "shuffle=False, or a `tf.data.Dataset` that shuffles with a seed."
        )


def _mean_of_replicas(logs: Any) -> Any:
    """Return the mean of scalar logs over all replicas; in replica context."""
    leaves = [tf.cast(leaf, tf.float32) for leaf in keras.tree.flatten(logs)]
    if not leaves:
        return logs
    # A list travels as one tensor.
    context = tf.distribute.get_replica_context()
    means = context.all_reduce(tf.distribute.ReduceOp.MEAN, leaves)
    return keras.tree.pack_sequence_as(logs, means)
