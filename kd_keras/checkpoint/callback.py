"""The callback that writes the state of training, and goes on from it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kd_keras.arguments import check_integer
from kd_keras.checkpoint import state
from kd_keras.checkpoint.data import Epochs, TrainingData, refuse_other_data
from kd_keras.checkpoint.file import CheckpointFile, Header
from kd_keras.compat.model import begin_with_epoch
from kd_keras.graph_errors import NonFiniteLossError


class Checkpoint(keras.callbacks.Callback):
    """Write the state of training after each epoch, so that a killed `fit` goes on with that call.

    One file holds all that the next step depends on: weights and statistics of the student and of
    the layers that losses own, memories of losses, what an augmentation has learnt, the states of
    all seed generators, the optimizer's slots and counts, the scale of a scaled loss, the count of
    steps, within an epoch the means that it has logged so far, and the history. It appears whole or
    not at all, so the process may be killed at any moment. The same call then goes on behind the
    file, and `fit` returns the whole history; when all epochs are done it trains nothing. The
    result is that of the unbroken run: bit for bit on a CPU with
    `tf.config.experimental.enable_op_determinism()` and a seed for everything.

    It works with `kd_keras.Distiller`, `kd_keras.Supervised` and any `keras.Model`. Put
    it last in `callbacks`, to see what the others do at the end of an epoch; what they remember,
    such as the patience of `EarlyStopping`, is not in the file. Nor are random numbers that no
    Keras seed generator draws, as those of `tf.random.uniform`. A teacher that a callback moves is
    in it; for equal bits it needs `teacher_inference="keras"`. One process at a time writes to a
    path.

    Args:
        path: The file, such as `"run/checkpoint.npz"`. Its folder is made where there is none.
        every_steps: Write after this many steps within an epoch, too; at least 1. `None` writes at
            the end of epochs alone.

    Raises:
        TypeError: If `path` is not text or a path.
        ValueError: If `every_steps` is out of range. In `fit`, before a step is trained: if the
            file is damaged, or of another model, optimizer, teacher, length of an epoch, or version
            of the file; if it cannot be written; or if the data came from elsewhere than
            `batches` or `epochs`.
        NonFiniteLossError: In `fit`, if weights are not finite; the file stays as it was.
        OSError: In `fit`, if the disk is full; the file stays as it was.

    Example:

    >>> import keras, kd_keras
    >>> splits = kd_keras.data.load("digits", data_dir="data", batch_size=256)
    >>> model = keras.Sequential(
    ...     [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    >>> model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> checkpoint = kd_keras.Checkpoint("run/checkpoint.npz")
    >>> history = model.fit(checkpoint.batches(splits.training), epochs=2, verbose=0,
    ...                     steps_per_epoch=splits.steps_per_epoch, callbacks=[checkpoint])
    >>> len(checkpoint.history)
    2
    """

    def __init__(self, path: str | os.PathLike[str], every_steps: int | None = None):
        super().__init__()
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(
                "`path` must be the path of a file, such as 'run/checkpoint.npz'. "
                f"Received: path={path!r}."
            )
        if every_steps is not None:
            remedy = "None writes at the end of each epoch alone."
            every_steps = check_integer("every_steps", every_steps, 1, remedy=remedy)
        self._file = CheckpointFile(Path(path).expanduser())
        self._every_steps = every_steps
        self._history: list[dict[str, Any]] = []
        self._data: TrainingData | None = None
        # Between the beginning of `fit` and that of its first epoch.
        self._resumes = False
        self._logged: list[np.ndarray] = []
        self._step = 0  # of the epoch, that the file knows
        self._teacher_now: Callable[[], str] = str
        self._teacher = ""
        self._teacher_moves = False

    @property
    def history(self) -> list[dict[str, Any]]:
        """The logs of every complete epoch in the file; nothing where there is no file."""
        header = self._file.header()
        return [] if header is None else header.history

    def batches(self, training: Callable[..., tf.data.Dataset]) -> tf.data.Dataset:
        """Return the batches of training from where the checkpoint stands on, for `fit`.

        Args:
            training: A function of the first epoch, counted from 0, that returns the batches from
                there on, endlessly: `splits.training` of what `kd_keras.data.load` returned, or
                `lambda first: replay.training(data, first)`. An epoch must have `steps_per_epoch`
                batches. If it has a parameter `first_step`, it is asked to leave out the steps that
                are done, else they are read and skipped.

        Returns:
            A `tf.data.Dataset` for one call of `fit`, which needs `steps_per_epoch` with it.

        Raises:
            TypeError: If `training` is not a function, or returns no `tf.data.Dataset`.
            ValueError: If the file is damaged or of another version.

        Example:

        >>> import kd_keras
        >>> splits = kd_keras.data.load("digits", data_dir="data", batch_size=256)
        >>> batches = kd_keras.Checkpoint("checkpoint.npz").batches(splits.training)
        >>> [len(y) for x, y in batches.take(6)]
        [256, 256, 256, 256, 173, 256]
        """
        header = self._file.header()
        epoch, step = (0, 0) if header is None else (len(header.history), header.step)
        self._data = TrainingData(training, epoch, step)
        return self._data.batches()

    def epochs(
        self, of_epoch: Callable[[Any], tf.data.Dataset], steps_per_epoch: int | None = None
    ) -> tf.data.Dataset:
        """Return the batches of your own data from where the checkpoint stands on, for `fit`.

        Args:
            of_epoch: A function of the epoch, an int64 scalar tensor counted from 0, that returns
                the batches of that epoch. All that is random in it must come from the epoch, as
                the seed of `shuffle` or of `tf.random.stateless_uniform`. It is traced once.
            steps_per_epoch: Batches in an epoch, where TensorFlow does not know (`cardinality()`).

        Returns:
            A `tf.data.Dataset` for one call of `fit`, which needs `steps_per_epoch` with it.

        Raises:
            TypeError: If `of_epoch` is not a function that returns a `tf.data.Dataset`.
            ValueError: If the file is damaged, of another version, or `steps_per_epoch` is needed.

        Example:

        >>> import kd_keras, tensorflow as tf
        >>> examples = tf.data.Dataset.from_tensor_slices(([[1.0], [2.0], [3.0]], [0, 1, 0]))
        >>> batches = kd_keras.Checkpoint("checkpoint.npz").epochs(
        ...     lambda epoch: examples.shuffle(3, seed=epoch).batch(2))
        >>> [len(y) for x, y in batches.take(4)]
        [2, 1, 2, 1]
        """
        return self.batches(Epochs(of_epoch, steps_per_epoch).training)

    def on_train_begin(self, logs: Any = None) -> None:
        self._history, self._step, self._logged = [], 0, []
        self._teacher_now = state.TeacherIdentity(self.model)
        self._teacher_moves = state.has_moving_teacher(self.model)
        self._resumes = True
        self._file.prepare()
        header, values = self._file.read()
        epoch, step = (0, 0) if header is None else (len(header.history), header.step)
        epochs = epoch if header is not None and header.stopped else self.params["epochs"]
        data = refuse_other_data(self._data, epoch, step, epochs, self.params["steps"])
        if header is not None:
            state.build(self.model, data.spec)
            self._restore(header, values)
        self._teacher = self._teacher_now()
        # As `keras.callbacks.BackupAndRestore` does it.
        begin_with_epoch(self.model, epoch if epochs > epoch else self.params["epochs"])

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if not self._resumes:
            self._step = 0
            return
        if epoch != len(self._history):
            self._leave_beginning()
            raise ValueError(
                "`initial_epoch` must be left out of `fit` with a Checkpoint, which knows it. "
                f"Received: epoch {epoch}, and a checkpoint of {len(self._history)} epochs."
            )
        self._leave_beginning()
        if self._logged:
            # Not earlier: Keras has just reset them.
            state.assign(self.model, [self._metrics()], self._logged)
            self._skip_steps_that_are_done()

    # At the beginning of the next step, for Keras may call what comes after a step in a thread.
    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self._every_steps is not None and batch - self._step >= self._every_steps:
            self._step = batch
            self._write()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._history.append({name: _plain(value) for name, value in (logs or {}).items()})
        self._step = 0
        self._write()

    def on_train_end(self, logs: Any = None) -> None:
        if self._resumes:
            self._leave_beginning()  # nothing was left to train
        else:
            self._write()  # other callbacks, and an optimizer's mean weights, come last

    def _leave_beginning(self) -> None:
        """Let Keras's own memory of `fit` be as if it had trained the epochs in the file."""
        self._resumes = False
        begin_with_epoch(self.model, None)
        shown = self.model.history
        for epoch, logs in enumerate(self._history):
            shown.epoch.append(epoch)
            for name, value in logs.items():
                shown.history.setdefault(name, []).append(value)

    def _restore(self, header: Header, values: list[np.ndarray]) -> None:
        steps, optimizer = self.params["steps"], state.optimizer_name(self.model.optimizer)
        if header.steps_per_epoch != steps:
            raise self._file.other(
                f"an epoch has {header.steps_per_epoch} steps there and {steps} here",
                "Train with the same data, batch size and `steps_per_epoch`.",
            )
        if header.optimizer != optimizer:
            raise self._file.other(
                f"the optimizer is {header.optimizer} there and {optimizer} here",
                "Compile with the same optimizer.",
            )
        parts = state.training_state(self.model, header.has_teacher, header.step > 0)
        difference = state.first_difference(header.variables, state.describe(parts))
        if difference is not None:
            raise self._file.other(
                difference, "Build and compile the model as it was for the checkpoint."
            )
        if not header.has_teacher and header.teacher != self._teacher_now():
            raise self._file.other(
                "the teacher had other weights", "Load the teacher that it was trained with."
            )
        if header.step % self.model.steps_per_execution:
            raise self._file.other(
                f"{header.step} steps of an epoch are done, which is no multiple of "
                f"`steps_per_execution`, {self.model.steps_per_execution}",
                "Compile with the `steps_per_execution` that it was trained with.",
            )
        metrics = len(parts.pop().variables) if header.step else 0
        last = len(values) - metrics
        state.assign(self.model, parts, values[:last])
        self._logged = values[last:]
        self._history, self._step = header.history, header.step
        self._teacher_moves = header.has_teacher

    def _skip_steps_that_are_done(self) -> None:
        """Let the loop of `fit` count the steps of its first epoch that the file holds."""
        model, left = self.model, self._step // self.model.steps_per_execution
        train_function, logs = model.train_function, model.get_metrics_result()

        def skip(iterator: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                model.train_function = train_function
            return logs

        model.train_function = skip

    def _write(self) -> None:
        broken = state.non_finite(self.model)
        if broken:
            raise NonFiniteLossError(
                f"The weights {broken[:3]} are not finite, so they are not written: the checkpoint "
                f"{str(self._file.path)!r} keeps what it has. Lower the learning rate, clip the "
                "gradients (`clipnorm` of the optimizer), or look for NaN in the inputs, and call "
                "`fit` again to go on from there."
            )
        teacher = self._teacher_now()
        # A frozen teacher stays where it is. One that moves is part of what is trained.
        self._teacher_moves = self._teacher_moves or teacher != (self._teacher or teacher)
        self._teacher = teacher
        parts = state.training_state(self.model, self._teacher_moves, self._step > 0)
        header = Header(
            step=self._step,
            steps_per_epoch=self.params["steps"],
            history=self._history,
            stopped=self._step == 0 and bool(self.model.stop_training),
            optimizer=state.optimizer_name(self.model.optimizer),
            teacher=teacher,
            variables=state.describe(parts),
        )
        self._file.write(header, state.values_of(parts))

    def _metrics(self) -> state.Part:
        return state.training_state(self.model, False, with_metrics=True)[-1]


def _plain(value: Any) -> Any:
    """Return a log as JSON knows it, every bit of it."""
    return np.asarray(value).tolist()
