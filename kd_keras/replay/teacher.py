"""A teacher that repeats what another one said of recorded views."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kd_keras.arguments import check_integer
from kd_keras.graph_errors import MARKER
from kd_keras.replay.folder import open_folder
from kd_keras.replay.manifest import differences, versions
from kd_keras.replay.stream import recorded_batches, stop
from kd_keras.replay.teaching import RepeatedTeacher
from kd_keras.replay.view_identity import view_identity
from kd_keras.teachers.contract import Description


@keras.saving.register_keras_serializable(package="kd_keras")
class ReplayTeacher(Description):
    """Teach with recorded answers: the views of a recording, and no teacher at all.

    ```
    output = log p of the recorded view;  softmax(log p / T) = softmax(teacher logits / T)
    ```

    A `kd_keras.Distiller` takes it in the teacher's place, with the augmentation that was recorded
    with and the batches of `training`. Log-probabilities are the logits up to a constant for each
    example, so every loss that is a function of softened distributions has the value that it has
    with the live teacher, up to the rounding of float16: `KLDivergence`, `SoftCrossentropy`,
    `ProbabilityMSE`, `DecoupledKD`, `DIST`, `StandardizedKL`, `HardLabel`. With fewer classes than
    all, what the stored ones leave is shared evenly by the others. Losses that need more (raw
    logits, features, input gradients) are refused by name.

    Every row of every batch is compared with what was recorded: other images, another order, or
    another step stop training with an error. `evaluate` and `validation_data` give the student's
    own loss and metrics: of unrecorded images nobody says what the teacher thinks.

    Args:
        folder: The recording.
        cycle: Whether training may go on after the last recorded epoch with the first one's views
            and order again; otherwise more epochs than were recorded are refused.
        verify: Whether to compare the files' checksums now. What was read before and has not
            changed since is not read again.
        name: Name of the layer.

    Raises:
        ValueError: If there is no recording, or it is not finished, or damaged.

    Example:

    >>> import keras, kd_keras
    >>> data = kd_keras.data.load("digits", data_dir="data", batch_size=256)
    >>> teacher, student = (
    ...     keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),
    ...                       keras.layers.Dense(10)]) for _ in range(2))
    >>> policy = kd_keras.augment.digits(seed=1)
    >>> _ = kd_keras.replay.record(teacher, data, "labels", epochs=2, augmentation=policy)
    >>> replay = kd_keras.replay.ReplayTeacher("labels")
    >>> distiller = kd_keras.Distiller(
    ...     replay, student, kd_keras.losses.KLDivergence(4.0), augmentation=replay.augmentation)
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(replay.training(data), steps_per_epoch=replay.steps_per_epoch,
    ...                         epochs=replay.epochs, verbose=0)

    Reference: Shen, Xing, "A Fast Knowledge Distillation Framework for Visual Recognition", ECCV
    2022, arXiv:2112.01528; Wu et al., "TinyViT: Fast Pretraining Distillation for Small Vision
    Transformers", ECCV 2022, arXiv:2207.10666.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        cycle: bool = False,
        verify: bool = True,
        name: str = "replay_teacher",
    ):
        super().__init__(name, trainable=False)
        recording = open_folder(folder)
        recording.refuse_unfinished()
        if verify:
            recording.refuse_damaged()
        self.folder = os.fspath(folder)
        self.cycle = bool(cycle)
        self.verify = bool(verify)
        self._recording = recording
        self._manifest = recording.manifest
        self.built = True

    @property
    def epochs(self) -> int:
        """How many epochs are recorded."""
        return self._manifest.epochs

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return self._manifest.steps_per_epoch

    @property
    def inputs(self) -> list[Any]:
        """The images, as a symbolic tensor."""
        inputs = self._manifest.inputs
        return [keras.KerasTensor((None, *inputs["shape"]), dtype=inputs["dtype"])]

    @property
    def outputs(self) -> list[Any]:
        """The log-probabilities, as a symbolic tensor."""
        return [keras.KerasTensor((None, self._manifest.classes), dtype="float32")]

    @property
    def augmentation(self) -> list[Any]:
        """The policies that were recorded with, made anew: what the Distiller is to be given."""
        from kd_keras.replay.policies import from_configs

        return from_configs(self._manifest.augmentation)

    def teach(self, terms: Any, student: Any, augmentation: Any) -> RepeatedTeacher:
        teacher = RepeatedTeacher(self)
        teacher.refuse_losses(terms)
        self.refuse_other_views(augmentation)
        return teacher

    def training(self, data: Any, first_epoch: int = 0) -> tf.data.Dataset:
        """Return the endless batches of `data` with their labels, from an epoch on.

        Args:
            data: What was recorded, as `kd_keras.replay.record` took it.
            first_epoch: The epoch to begin with, counted from 0: `initial_epoch` of `fit`.

        Returns:
            A `tf.data.Dataset` of batches whose x carries the labels beside the images, for the
            `fit` of a `kd_keras.Distiller`, with `steps_per_epoch=replay.steps_per_epoch`.

        Raises:
            ValueError: If these are other data, in another order, or `first_epoch` is not recorded.
        """
        from kd_keras.replay.training_data import as_training_data

        training = as_training_data(data)
        self._recording.refuse_other_data(training)
        first_epoch = check_integer("first_epoch", first_epoch, 0)
        if first_epoch > self.epochs and not self.cycle:
            raise ValueError(f"{self._too_few()} Received: first_epoch={first_epoch}.")
        recording = self._recording
        stream = recorded_batches(recording, training, first_epoch % self.epochs)
        if self.cycle:
            stream = stream.concatenate(recorded_batches(recording, training).repeat())
        else:
            end = stream.take(1).map(stop(self._too_few()))
            stream = end if first_epoch == self.epochs else stream.concatenate(end)
        endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
        return stream.apply(endless).prefetch(tf.data.AUTOTUNE)

    def call(self, rows: Any) -> tf.Tensor:
        """Return the log-probabilities, `(batch, classes)` float32, of rows as bytes."""
        if len(rows.shape) != 2 or rows.dtype != tf.uint8:
            raise ValueError(
                f"The ReplayTeacher of {self.folder!r} knows recorded views alone, and was asked "
                f"about inputs of shape {tuple(rows.shape)}. Ask the teacher that was recorded."
            )
        return self._manifest.rows.dense(rows)

    def compute_output_spec(self, rows: Any) -> Any:
        return self.outputs[0]

    def refuse_other_views(self, augmentation: Any) -> None:
        """Raise `ValueError` unless an augmentation draws the views that were recorded."""
        from kd_keras.replay.policies import refuse_other_policy, refuse_other_views, replayable

        manifest = self._manifest
        refuse_other_policy(manifest.augmentation, augmentation)
        changed = "; ".join(differences("versions", manifest.versions, versions()))
        refuse_other_views(
            Path(self.folder),
            replayable(augmentation),
            manifest.inputs["shape"],
            manifest.inputs["dtype"],
            f"{changed}." if changed else "The versions are those that recorded.",
        )

    def recorded_step(self, step: Any) -> tf.Tensor:
        """Return the step whose views come at a step of training: the same, or its lap's."""
        step = tf.convert_to_tensor(step)
        return step % (self.epochs * self.steps_per_epoch) if self.cycle else step

    def mismatches(self, recorded: Any, images: Any, step: Any, positions: Any) -> list[Any]:
        """Return assertions (to be used as control dependencies) that a batch is the recorded one.

        Args:
            recorded: What the batch carries beside its images.
            images: Before augmentation.
            step: From `recorded_step`.
            positions: Of the examples in the global batch.
        """
        of_step = tf.debugging.Assert(
            tf.reduce_all(recorded["step"] == step),
            [
                f"{MARKER}the recorded labels are of another step than the Distiller's. Begin the "
                "data where the Distiller stands: `fit(replay.training(data, first_epoch=k), "
                f"initial_epoch=k, steps_per_epoch={self.steps_per_epoch})` after k epochs, and "
                "k=0 for a new Distiller. Received: the labels' step, the Distiller's step",
                tf.reduce_max(recorded["step"]),
                step,
            ],
        )
        found = self._manifest.rows.identities(recorded["rows"])
        wrong = found != view_identity(images, step, positions, self._manifest.salt)
        # Where the step is another one, all rows are; then that is what is to be said.
        excused = tf.reduce_any(recorded["step"] != step)
        of_rows = tf.debugging.Assert(
            tf.logical_or(excused, tf.logical_not(tf.reduce_any(wrong))),
            [
                f"{MARKER}the batch is not the one that was recorded in {self.folder!r}: other "
                "images, or the same ones in another order. Train on the data that were recorded, "
                "and change nothing behind `replay.training(data)`. Received: rows that differ, "
                "rows in the batch, step",
                tf.reduce_sum(tf.cast(wrong, tf.int32)),
                tf.size(wrong),
                step,
            ],
        )
        return [check for check in (of_step, of_rows) if check is not None]

    def _too_few(self) -> str:
        return (
            f"The recording {self.folder!r} has {self.epochs} epochs, and more are asked for. "
            "Record more into the same folder (`epochs=` of kd_keras.replay.record, --epochs of "
            "`kd-keras record`), or take the recorded ones again: ReplayTeacher(..., cycle=True)."
        )

    def get_config(self) -> dict[str, Any]:
        fields = {"folder": self.folder, "cycle": self.cycle, "verify": self.verify}
        return {**fields, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ReplayTeacher:
        return cls(**config)
