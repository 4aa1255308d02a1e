"""Train one network, epoch by epoch, so that a killed process loses one epoch at most."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable
from typing import Any

import keras
from rich.console import Console

from kd_keras.checkpoint import Checkpoint
from kd_keras.data import Splits
from kd_keras.graph_errors import NonFiniteLossError
from kd_keras.recipes.recipe import Recipe
from kd_keras.run.folder import HISTORY, RunFolder
from kd_keras.run.history import write_history
from kd_keras.run.progress import TrainingProgress
from kd_keras.whole_file import written_beside

_MOMENTUM = 0.9


@dataclasses.dataclass(frozen=True)
class Training:
    """One network to train, and how.

    Attributes:
        name: Its name in the folder of the run.
        title: What a person reads about it.
        network: The network.
        model: What trains it: a model with `fit` whose `step` counts the steps.
        epochs: How many epochs.
        learning_rate: Where the learning rate starts.
        rate_field: The field of the recipe that says so, for an error's remedy.
    """

    name: str
    title: str
    network: keras.Model
    model: Any
    epochs: int
    learning_rate: float
    rate_field: str

    def run(self, folder: RunFolder, recipe: Recipe, splits: Splits, console: Console) -> None:
        """Train to the last epoch and keep the network in the folder.

        What a killed process left is taken up after its last complete epoch, and ends as the
        unbroken training would have ended: the order of the data is a function of (seed, epoch),
        the views of (seed, step), and everything else is in the checkpoint. The network of the last
        epoch is kept, never the best one on some split.

        Raises:
            NonFiniteLossError: If the loss is not finite any more; nothing of that epoch is kept.
        """
        self._compile(recipe, splits.steps_per_epoch)
        # With every variable made beforehand TensorFlow traces the step once and not twice, which
        # for small data is a good part of the run.
        self.model.build_from_batch(data_batch=next(iter(splits.validation)))
        path = folder.checkpoint(self.name)
        checkpoint = Checkpoint(path)
        others = folder.histories()
        first_epoch = len(checkpoint.history)

        def note() -> None:
            write_history(folder.path / HISTORY, {**others, self.name: checkpoint.history})

        progress = TrainingProgress(
            console, self.title, self.epochs, splits.steps_per_epoch, first_epoch
        )
        with progress.shown() if first_epoch < self.epochs else contextlib.nullcontext():
            self._fit(splits, checkpoint, _EveryEpoch(progress, note))
        note()
        least = sum(weight.nbytes for weight in self.network.get_weights())
        with written_beside(folder.network(self.name), least) as beside:
            self.network.save(beside)
        # In this order: until it is noted, the network is saved again from the checkpoint.
        folder.note_network(self.name, self.network, checkpoint.history)
        path.unlink()

    def _fit(self, splits: Splits, checkpoint: Checkpoint, every_epoch: _EveryEpoch) -> None:
        try:
            self.model.fit(
                checkpoint.batches(splits.training),
                steps_per_epoch=splits.steps_per_epoch,
                validation_data=splits.validation,
                epochs=self.epochs,
                shuffle=False,
                verbose=0,
                callbacks=[_Seconds(), checkpoint, every_epoch],
            )
        except NonFiniteLossError as error:
            raise NonFiniteLossError(
                f"{self.title} stopped in epoch {len(checkpoint.history) + 1} of {self.epochs}. "
                f"{error} In a recipe: a lower `{self.rate_field}` than {self.learning_rate:g}, "
                "and --fresh."
            ) from None

    def _compile(self, recipe: Recipe, steps_per_epoch: int) -> None:
        schedule = keras.optimizers.schedules.CosineDecay(
            self.learning_rate, self.epochs * steps_per_epoch
        )
        if recipe.optimizer == "adam":
            optimizer = keras.optimizers.Adam(schedule)
        else:
            optimizer = keras.optimizers.SGD(schedule, momentum=_MOMENTUM, nesterov=True)
        self.model.compile(
            optimizer=optimizer,
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        )


class _Seconds(keras.callbacks.Callback):
    """Add to the logs of an epoch how long it took."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        # The callbacks behind this one get the same dict.
        logs["seconds"] = round(time.monotonic() - self._started, 3)


class _EveryEpoch(keras.callbacks.Callback):
    """Note and show every complete epoch."""

    def __init__(self, progress: TrainingProgress, note: Callable[[], None]):
        super().__init__()
        self._progress = progress
        self._note = note

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._progress.step()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._note()
        self._progress.epoch(epoch + 1, logs)
