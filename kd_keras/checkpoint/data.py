"""The batches of training from any epoch and step on, and that `fit` got just these."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import tensorflow as tf

_CALL = (
    "Training goes on in the order of an unbroken run only if the data begin where the checkpoint "
    "stands: fit(checkpoint.batches(splits.training), steps_per_epoch=splits.steps_per_epoch, "
    "callbacks=[checkpoint]) with what kd_keras.data.load returned. For data of your own pass"
)
_EPOCHS = "checkpoint.epochs(lambda epoch: examples.shuffle(10_000, seed=epoch).batch(128))"


class Epochs:
    """Batches that come as a function of the epoch.

    Args:
        of_epoch: What `Checkpoint.epochs` takes.
        steps_per_epoch: What `Checkpoint.epochs` takes.

    Raises:
        TypeError: If `of_epoch` is not a function that returns a `tf.data.Dataset`.
        ValueError: If nobody knows how many batches an epoch has.
    """

    def __init__(
        self, of_epoch: Callable[[Any], tf.data.Dataset], steps_per_epoch: int | None = None
    ):
        if not callable(of_epoch):
            raise TypeError(
                "`of_epoch` must be a function of the epoch that returns its batches, as in "
                f"{_EPOCHS}. Received: of_epoch of type {type(of_epoch).__name__}."
            )
        self._of_epoch = of_epoch
        if steps_per_epoch is None:
            first = of_epoch(tf.zeros((), tf.int64))
            _refuse_other_than_dataset(first, "of_epoch")
            steps_per_epoch = int(first.cardinality())
        if steps_per_epoch < 1:
            raise ValueError(
                "`steps_per_epoch` must be the number of batches that `of_epoch` returns, where "
                "TensorFlow does not know it: at least 1, and the same in every epoch. Received: a "
                f"dataset of cardinality {steps_per_epoch}."
            )
        self.steps_per_epoch = steps_per_epoch

    def training(self, first_epoch: int) -> tf.data.Dataset:
        """Return the batches from an epoch on, endlessly."""
        return tf.data.Dataset.range(first_epoch, 2**62).flat_map(self._seeded)

    def _seeded(self, epoch: Any) -> tf.data.Dataset:
        # Inside a function this sets the seed of its graph alone. `shuffle` would mix in the
        # program's own, and fail where that is 0: it then asks whether a tensor is 0, too.
        tf.random.set_seed(1)
        # With one batch more or less, every later epoch would begin elsewhere after a restart.
        exactly = tf.data.experimental.assert_cardinality(self.steps_per_epoch)
        return self._of_epoch(epoch).apply(exactly)


class TrainingData:
    """Batches that begin at a step of an epoch.

    Args:
        training: What `Checkpoint.batches` takes.
        epoch: The epoch to begin with, counted from 0.
        step: The step of that epoch to begin with, counted from 0.

    Raises:
        TypeError: If `training` is not a function that returns a `tf.data.Dataset`.
    """

    def __init__(self, training: Callable[..., tf.data.Dataset], epoch: int, step: int):
        if not callable(training):
            raise TypeError(
                "`training` must be a function of the first epoch that returns the batches from "
                f"there on, such as `splits.training`. For data of your own take {_EPOCHS}. "
                f"Received: training of type {type(training).__name__}."
            )
        skips = "first_step" in inspect.signature(training).parameters
        batches = training(epoch, first_step=step) if skips else training(epoch)
        _refuse_other_than_dataset(batches, "training")
        self._batches = batches.skip(step) if step and not skips else batches
        self.begins = (epoch, step)
        # What has such a method knows how long its epochs are; of another function nobody does.
        owner = getattr(training, "__self__", None)
        self.steps_per_epoch: int | None = getattr(owner, "steps_per_epoch", None)
        self.spec: Any = batches.element_spec
        # Negative where it is infinite or not known.
        self.available = int(self._batches.cardinality())

    def batches(self) -> tf.data.Dataset:
        """Return them; where they end too early after all, an error takes the place of a batch.

        Keras would begin them anew there, with the order of the first epoch.
        """
        endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
        return self._batches.apply(endless)


def refuse_other_data(
    data: TrainingData | None, epoch: int, step: int, epochs: int, steps: int | None
) -> TrainingData:
    """Return the data, or raise where `fit` would train in another order than an unbroken run.

    Args:
        data: What `Checkpoint.batches` made last, or `None`.
        epoch: Complete epochs in the checkpoint.
        step: Steps after them in the checkpoint.
        epochs: The epoch to end with.
        steps: Steps in an epoch, or `None` where `fit` was not told.

    Raises:
        ValueError: If the data are others, begin elsewhere, or end too early.
    """
    if data is None or steps is None:
        received = "no `steps_per_epoch`" if data is not None else "other data"
        raise ValueError(f"{_CALL} {_EPOCHS}. Received: {received}.")
    if data.steps_per_epoch not in (None, steps):
        raise ValueError(
            "`steps_per_epoch` must be the number of batches in an epoch of the data, else an epoch"
            " would begin elsewhere after a restart. For shorter epochs let the data end there "
            f"(`take`). Received: steps_per_epoch={steps}, and data of {data.steps_per_epoch}."
        )
    if data.begins != (epoch, step):
        raise ValueError(
            "`x` must begin where the checkpoint stands: call checkpoint.batches(...) anew for each"
            f" `fit`. Received: data from (epoch, step) {data.begins} on, and a checkpoint at "
            f"{(epoch, step)}."
        )
    missing = (epochs - epoch) * steps - step
    if 0 <= data.available < missing:
        raise ValueError(
            "`training` must return the batches of all epochs, endlessly. With a function that "
            f"returns those of one epoch take {_EPOCHS}. "
            f"Received: {data.available} batches for {missing} steps."
        )
    return data


def _refuse_other_than_dataset(returned: Any, argument: str) -> None:
    if not isinstance(returned, tf.data.Dataset):
        raise TypeError(
            f"`{argument}` must return a tf.data.Dataset of batches. Received: a function that "
            f"returned {type(returned).__name__}."
        )
