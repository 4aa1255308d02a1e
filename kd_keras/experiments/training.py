"""Train one network, epoch by epoch, so that a killed process loses one epoch at most."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
from rich.console import Console

from kd_keras.checkpoint import Checkpoint
from kd_keras.checkpoint.seal import seal
from kd_keras.data import Splits
from kd_keras.experiments.folder import HISTORY, RunFolder
from kd_keras.experiments.history import MONITORED, best_epoch, write_history
from kd_keras.graph_errors import NonFiniteLossError
from kd_keras.network_files import load_network
from kd_keras.recipes.recipe import Recipe
from kd_keras.recipes.stage import Stage, is_own
from kd_keras.report.progress import TrainingProgress
from kd_keras.report.saying import say
from kd_keras.tasks import Task
from kd_keras.training.suspicion import better_than_chance
from kd_keras.whole_file import written_beside


@dataclasses.dataclass(frozen=True)
class Training:
    """One network to train, and how.

    Attributes:
        name: Its name in the folder.
        stage: What the recipe says of it.
        title: What a person reads about it.
        network: The network.
        model: What trains it: a model with `fit` whose `step` counts the steps.
        task: What is learnt.
    """

    name: str
    stage: Stage
    title: str
    network: keras.Model
    model: Any
    task: Task

    def run(self, folder: RunFolder, recipe: Recipe, splits: Splits, console: Console) -> None:
        """Train to the last epoch and keep the network in the folder.

        What a killed process left is taken up after its last complete epoch, and ends as the
        unbroken training would have ended: the order of the data is a function of (seed, epoch),
        the views of (seed, step), and everything else is in the checkpoint. The network is kept as
        it is after the last epoch, or after the best one on the validation split (of equal ones the
        earliest), as the recipe says.

        Raises:
            NonFiniteLossError: If the loss is not finite any more; nothing of that epoch is kept.
            ValueError: If the best epoch's weights cannot be read any more.
        """
        name, epochs = self.name, self.stage.epochs
        self._compile(recipe, splits.steps_per_epoch)
        # With every variable made beforehand TensorFlow traces the step once and not twice, which
        # for small data is a good part of the run.
        self.model.build_from_batch(data_batch=next(iter(splits.validation)))
        path, best = folder.checkpoint(name), folder.best(name)
        checkpoint = Checkpoint(path)
        others = folder.histories()
        first_epoch = len(checkpoint.history)

        def note() -> None:
            write_history(folder.path / HISTORY, {**others, name: checkpoint.history})

        progress = TrainingProgress(
            console, self.title, epochs, splits.steps_per_epoch, first_epoch
        )
        # Before the checkpoint, which says that an epoch is over.
        keeping = [_Best(best, self.network, checkpoint)] if recipe.keep == "best" else []
        with progress.shown() if first_epoch < epochs else contextlib.nullcontext():
            self._fit(splits, checkpoint, keeping, _EveryEpoch(progress, note))
        note()
        if keeping:
            self._take_best(best, checkpoint.history, console)
        self._say_if_nothing_was_learnt(splits, checkpoint.history, console)
        # In this order: until it is noted, the network is saved again from the checkpoint.
        save_network(folder, name, self.network, checkpoint.history)
        best.unlink(missing_ok=True)
        path.unlink()

    def _take_best(self, path: Path, history: Any, console: Console) -> None:
        epoch = best_epoch(history)
        if epoch < len(history):
            try:
                self.network.set_weights(load_network(path, self.name).get_weights())
            except ValueError as error:
                raise ValueError(
                    f"{str(path)!r} holds the network as after epoch {epoch}, the best, and cannot "
                    f"be read: {error} Delete it and the checkpoint beside it; the training of "
                    "this network then begins anew."
                ) from error
        accuracy = history[epoch - 1][MONITORED]
        say(
            console,
            f"{self.title}: kept as after epoch {epoch} of {len(history)}, the best on the "
            f"validation split, {100 * accuracy:.2f} %",
        )

    def _say_if_nothing_was_learnt(self, splits: Splits, history: Any, console: Console) -> None:
        best = max(logs[MONITORED] for logs in history)
        if best >= better_than_chance(splits.info.num_classes, splits.info.validation_examples):
            return
        remedy = f"a lower --{self.stage.rate_field.replace('_', '-')}, or more epochs"
        if is_own(self.stage.network):
            option = f"--{self.stage.role}-value-range"
            remedy = f"{option} 0 1 if it takes images in 0 to 1, {remedy}"
        say(
            console,
            f"{self.title}: {100 * best:.2f} % of the validation split right at best, which is "
            f"chance: it has learnt nothing. Try {remedy}",
            bold=True,
        )

    def _fit(
        self, splits: Splits, checkpoint: Checkpoint, keeping: list[Any], every_epoch: _EveryEpoch
    ) -> None:
        try:
            self.model.fit(
                checkpoint.batches(splits.training),
                steps_per_epoch=splits.steps_per_epoch,
                validation_data=splits.validation,
                epochs=self.stage.epochs,
                shuffle=False,
                verbose=0,
                callbacks=[_Seconds(), *keeping, checkpoint, every_epoch],
            )
        except NonFiniteLossError as error:
            raise NonFiniteLossError(
                f"{self.title} stopped in epoch {len(checkpoint.history) + 1} of "
                f"{self.stage.epochs}. {error} In a recipe: a lower `{self.stage.rate_field}` than "
                f"{self.stage.learning_rate:g}, and --fresh."
            ) from None

    def _compile(self, recipe: Recipe, steps_per_epoch: int) -> None:
        rate = self.stage.learning_rate
        steps = self.stage.epochs * steps_per_epoch
        schedules = keras.optimizers.schedules
        schedule: Any = rate
        if recipe.schedule == "cosine":
            schedule = schedules.CosineDecay(rate, steps)
        elif recipe.schedule == "linear":
            schedule = schedules.PolynomialDecay(rate, steps, end_learning_rate=0.0)
        if recipe.optimizer == "adam":
            optimizer = keras.optimizers.Adam(schedule)
        else:
            optimizer = keras.optimizers.SGD(
                schedule, momentum=recipe.momentum, nesterov=recipe.momentum > 0
            )
        self.model.compile(optimizer=optimizer, loss=self.task.loss(), metrics=self.task.metrics())


def save_network(
    folder: RunFolder, name: str, network: keras.Model, history: Sequence[Mapping[str, float]]
) -> None:
    """Keep a trained network in a folder, and note that it is there.

    Args:
        folder: The folder.
        name: The network's name in it.
        network: The network.
        history: The logs of its epochs.
    """
    least = sum(weight.nbytes for weight in network.get_weights())
    with written_beside(folder.network(name), least) as beside:
        network.save(beside)
    folder.note_network(name, network, history)


class _Best(keras.callbacks.Callback):
    """Keep the weights of a network whenever its epoch is the best so far."""

    def __init__(self, path: Path, network: keras.Model, checkpoint: Checkpoint):
        super().__init__()
        self._path, self._network, self._checkpoint = path, network, checkpoint

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        before = [past[MONITORED] for past in self._checkpoint.history]
        if logs[MONITORED] > max(before, default=-1.0):
            with written_beside(self._path) as beside:
                self._network.save(beside)
                seal(beside)


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
