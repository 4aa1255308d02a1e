"""The step: data flow one way, from a batch to its loss, its gradients and its logs."""

from __future__ import annotations

import contextlib
import threading
import warnings
from typing import Any

import keras
import tensorflow as tf

from kd_keras.arguments import refuse_complex
from kd_keras.augment.adapter import as_augmentation, augment_batch
from kd_keras.compat.model import OpenModel
from kd_keras.teachers.contract import Asking
from kd_keras.training import labels, mixing, persistence, replicas
from kd_keras.training.batch import Answer, Batch, Lesson
from kd_keras.training.building import build_for
from kd_keras.training.counter import add_step_counter
from kd_keras.training.guard import Snapshot, stop_unless_finite
from kd_keras.training.inputs import take
from kd_keras.training.loop import Loop
from kd_keras.training.masks import masks_of, with_masks
from kd_keras.training.objective import Goal, Losses, named_losses, objective
from kd_keras.training.parts import Parts
from kd_keras.training.plugin import Results
from kd_keras.training.spatial import SpatialLabels
from kd_keras.training.symbolic import Specs
from kd_keras.training.taps import forward


class _UnderWay(threading.local):
    """The forward pass whose loss is being computed, in this thread: replicas have one each."""

    forward: tuple[Batch, Answer | None, Answer] | None = None
    losses: Losses | None = None


class Step(OpenModel):
    """One way to train: with a teacher (`kd_keras.Distiller`) or without (`kd_keras.Supervised`).

    Data flow one way, through one `forward`: accept, augment, forward, objective, gradients, guard,
    optimizer, and what the plug-ins do after the step. Training, testing, building, `compute_loss`
    and the core that XLA compiles all use it.

    A subclass has the property `student` and sets `_parts`.

    Args:
        augmentation: As `kd_keras.Distiller` takes it.
        student_inputs: As `kd_keras.Distiller` takes it.
        name: Name of the model.
        spatial: As `kd_keras.Distiller` takes it.
        **kwargs: Passed on to `keras.Model`.
    """

    student: Any
    student_loss_weight: Any = 1.0
    _parts: Parts

    def __init__(
        self, augmentation: Any, student_inputs: Any, name: str, spatial: Any, **kwargs: Any
    ):
        super().__init__(name=name, **kwargs)
        self.autocast = False  # each network casts its own inputs, by its own policy
        self.student_inputs = student_inputs
        self._augmentation = persistence.Untracked(as_augmentation(augmentation), augmentation)
        self._spatial_labels = SpatialLabels(spatial)
        self.step = add_step_counter(self)
        self._loop = Loop()
        self._under_way = _UnderWay()
        self._loss_layers: list[Any] = []
        self._part_metrics: list[Any] = []
        self._label_format: list[bool] | None = None
        self._specs: Specs | None = None
        self._ready = self._class_weighted = self._warned_about_labels = False

    @property
    def augmentation(self) -> Any:
        """The augmentation, as it was given."""
        return self._augmentation.given

    @property
    def spatial(self) -> Any:
        """Which labels move with the pixels, as it was given."""
        return self._spatial_labels.given

    @property
    def output_names(self) -> list[str]:
        """The student's output names: losses and metrics are compiled by them."""
        return self.student.output_names

    def call(self, inputs: Any, training: Any = None) -> Any:
        """Return the student's outputs."""
        batch = self.accept(Batch(inputs), None)[0]
        return forward(self.student, self._of_student(batch.x), training)

    # The step, in the order in which data pass through it.

    def accept(self, batch: Batch, step: Any) -> tuple[Batch, list[Any]]:
        """Let each plug-in take out of the batch what is its own.

        Args:
            batch: As the data gave it.
            step: The count of the steps so far; `None` where nothing is trained.

        Returns:
            The batch, and assertions that training must wait for.
        """
        return self._parts.accept(batch, step)

    def augment(self, batch: Batch, step: Any) -> Batch:
        """Return the views of a batch; no tape is open here: views are data."""
        parts, augmentation = self._parts, self._augmentation.normalised
        kept, following = parts.kept_and_following(batch.extras)
        spatial = None if augmentation is None else self._spatial_labels.parts(batch, self.loss)
        views = augment_batch(
            augmentation,
            batch._replace(extras=following, spatial=spatial),
            parts.step_of_views(step),
            None if parts.teacher is None else Asking(parts.teacher),
        )
        return views._replace(spatial=None).with_extras(**kept)

    def forward(
        self, batch: Batch, training: bool, tape: tf.GradientTape | None = None
    ) -> tuple[Answer | None, Answer]:
        """Ask the teacher once and run the student once.

        Args:
            batch: What both see.
            training: Whether dropout and batch statistics of the student are those of training.
            tape: Where the student's operations are recorded, and the teacher's are not.
        """
        parts = self._parts

        def ask(batch: Batch) -> Answer | None:
            with contextlib.nullcontext() if tape is None else tape.stop_recording():
                return parts.ask(batch, training)

        def run() -> Answer:
            return parts.network(self._of_student(batch.x), training, watched=parts.watched)

        if parts.teacher is not None and parts.teacher.hears_students:
            student = run()
            return ask(parts.overheard(batch, student)), student
        return ask(batch), run()

    def losses_of(
        self, batch: Batch, teacher: Answer | None, student: Answer, training: bool
    ) -> Losses:
        """Return the parts of the loss of a forward pass, the whole as `compute_loss` has it."""
        under_way = self._under_way
        under_way.forward, under_way.losses = (batch, teacher, student), None
        try:
            value = self.compute_loss(
                batch.x, batch.y, student.outputs, batch.weight, training=training
            )
            losses = under_way.losses
        finally:
            under_way.forward = under_way.losses = None
        if losses is None:  # a `compute_loss` of the user's own, which did not ask for ours
            losses = self._objective(batch, teacher, student, training)
        if value is losses.objective:
            return losses
        value = tf.cast(value, tf.float32)
        return losses._replace(objective=value, total=value * replicas.count())

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the combined loss on `x`, as `train_step` minimises it without augmentation.

        The step calls it, so a subclass may override it; what it returns is minimised. `y_pred` may
        be given to save the student's forward pass where no loss taps the student.
        """
        if self._under_way.forward is not None:
            batch, teacher, student = self._under_way.forward
            batch = batch._replace(x=x, y=y, weight=sample_weight)
            if y_pred is not student.outputs:
                logits = self._parts.network.logits(y_pred)
                student = student._replace(outputs=y_pred, logits=logits)
            losses = self._objective(batch, teacher, student, training)
            self._under_way.losses = losses
            return losses.objective
        batch, _ = self.accept(Batch(x, y, sample_weight), None)
        parts = self._parts
        if y_pred is None or parts.network.tapped.names or parts.watched:
            teacher, student = self.forward(batch, training)
        else:
            student = Answer(y_pred, {}, parts.network.logits(y_pred))
            teacher = parts.ask(parts.overheard(batch, student), training=True)
        return self._objective(batch, teacher, student, training).objective

    def _objective(
        self, batch: Batch, teacher: Answer | None, student: Answer, training: bool
    ) -> Losses:
        return objective(
            self._goal(), batch, teacher, student, tf.convert_to_tensor(self.step), training
        )

    def _goal(self) -> Goal:
        parts, teaches = self._parts, self.student_loss_weight != 0
        return Goal(
            parts.terms,
            parts.weighing,
            self.compiled_loss if teaches else None,
            self.loss,
            self.student,
            self._regularisers,
            parts.teacher,
        )

    def _regularisers(self) -> list[Any]:
        layers = (self.student, *self._loss_layers)
        return [self.scaled_for_replicas(loss) for layer in layers for loss in layer.losses]

    def _core(self, batch: Batch) -> tuple[list[Any], Losses, Any, Any, list[Any]]:
        """Teacher, student forward and backward: the part of the step that XLA may compile."""
        with tf.GradientTape() as tape:
            teacher, student = self.forward(batch, training=True, tape=tape)
            losses = self.losses_of(batch, teacher, student, training=True)
            value = self.optimizer.scale_loss(losses.objective)
        if not self.trainable_weights:
            raise ValueError(
                f"The student {self.student.name!r} has no trainable weights, so there is nothing "
                "to train. Received: a student with trainable=False, or without weights. Set "
                "`student.trainable = True` before building the Distiller."
            )
        gradients = tape.gradient(value, self.trainable_weights)
        taught = None if teacher is None else (teacher.logits, teacher.lesson)
        return gradients, losses, taught, student.outputs, masks_of(student.outputs)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Augment once, run the core once, and apply the gradients if they are finite."""
        step = tf.convert_to_tensor(self.step)
        batch = Batch(*keras.utils.unpack_x_y_sample_weight(data))
        batch, checks = self.accept(batch, step)
        self._prepare_for(batch)
        snapshot = Snapshot(self._moved_by_running())
        batch = self.augment(batch, step)
        if batch.mix is not None and self.compiled_loss is not None:
            mixing.refuse_unmixable_loss(self.loss)
        checks = checks + self._label_assertions(batch.y)
        core = self._loop.core(self, self._core, self.student)
        with tf.control_dependencies(checks):
            gradients, losses, taught, y_pred, masks = core(batch)
        y_pred = with_masks(y_pred, masks)
        logits, lesson = (None, None) if taught is None else taught
        named = named_losses(losses)
        if lesson is not None:
            named["teacher_loss"] = lesson.loss
        checks = stop_unless_finite(
            self._unscaled(gradients, lesson),
            named,
            snapshot,
            evidence=self._parts.evidence(losses),
        )
        student = Answer(y_pred, {}, self._parts.network.logits(y_pred))
        with tf.control_dependencies(checks):
            # Without the identities an optimizer could start before the checks are through.
            gradients, lesson = tf.nest.map_structure(_identity, (gradients, lesson))
            teacher = None if taught is None else Answer(logits, {}, logits, lesson=lesson)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
            for plugin in self._parts.plugins:
                plugin.after_step(Results(batch, teacher, student, losses), step)
            self.step.assign_add(1)
        return self._logged(batch, losses, y_pred, training=True)

    def _unscaled(self, gradients: list[Any], lesson: Lesson | None) -> list[Any]:
        """Return the gradients that must be finite: where a loss is scaled an overflow is normal.

        Args:
            gradients: Of the student.
            lesson: Of a teacher that learns.
        """
        moved, teacher = [(self.optimizer, gradients)], self._parts.teacher
        if lesson is not None and teacher is not None:
            moved.append((teacher.optimizer, lesson.gradients))
        scales = keras.optimizers.LossScaleOptimizer
        return [g for optimizer, own in moved if not isinstance(optimizer, scales) for g in own]

    def _moved_by_running(self) -> list[Any]:
        """Return what a forward pass moves: statistics, random states, and those of a teacher."""
        layers = (self.student, *self._loss_layers)
        teacher = self._parts.teacher
        return [
            *(v for layer in layers for v in layer.variables if not v.trainable),
            *(() if teacher is None else teacher.state),
        ]

    def test_step(self, data: Any) -> dict[str, Any]:
        """Measure losses and metrics on the data as given; nothing moves."""
        batch = Batch(*keras.utils.unpack_x_y_sample_weight(data))
        batch, _ = self.accept(batch, None)
        self._prepare_for(batch)
        if checks := self._label_assertions(batch.y):
            with tf.control_dependencies(checks):
                batch = batch._replace(y=keras.tree.map_structure(tf.identity, batch.y))
        teacher, student = self.forward(batch, training=False)
        losses = self.losses_of(batch, teacher, student, training=False)
        return self._logged(batch, losses, student.outputs, training=False)

    # What the step is logged as.

    def _logged(self, batch: Batch, losses: Losses, y_pred: Any, training: bool) -> dict[str, Any]:
        parts = self._parts
        size = tf.shape(keras.tree.flatten(batch.x)[0])[0]
        told = set() if parts.logs is None else parts.logs.update(losses, size, training)
        if losses.distillation is not None or parts.teacher is None:
            self.loss_tracker.update_state(losses.total, sample_weight=size)
            told.add(self.loss_tracker.name)
        if training:
            told.update(metric.name for plugin in parts.plugins for metric in plugin.metrics)
        results = self.compute_metrics(batch.x, batch.y, y_pred, batch.weight)
        own = {self.loss_tracker.name, *(metric.name for metric in self._part_metrics)}
        return {name: v for name, v in results.items() if name in told or name not in own}

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Update the compiled metrics, if there are labels, and return all results."""
        compiled = self.compiled_metrics_container
        if y is None:
            if compiled is not None and not self._warned_about_labels:
                self._warned_about_labels = True
                warnings.warn(
                    "The data has no labels, so the compiled metrics are skipped.",
                    UserWarning,
                    stacklevel=2,
                )
            return self._results_without(compiled)
        y_pred = labels.labelled_outputs(y, y_pred, self.student)
        rows = labels.of_labelled_rows(self.loss, y, y_pred, sample_weight)
        return super().compute_metrics(x, *rows)

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the results of all metrics that have seen data."""
        compiled = self.compiled_metrics_container
        if compiled is not None and not compiled.built:
            return self._results_without(compiled)
        return super().get_metrics_result()

    def _results_without(self, compiled: Any) -> dict[str, Any]:
        results: dict[str, Any] = {}
        for metric in self.metrics:
            if metric is not compiled:
                result = metric.result()
                results.update(result if isinstance(result, dict) else {metric.name: result})
        return results

    @property
    def metrics(self) -> list[Any]:
        """All metrics; within `fit` which way ours are better too, for callbacks that monitor."""
        logs = self._parts.logs
        metrics: list[Any] = list(super().metrics)
        if logs is not None and self._loop.is_fitting:
            metrics.append(logs.directions)
        return metrics

    # Building and checking, before anything is traced inside the core.

    def _of_student(self, x: Any) -> Any:
        return take("student_inputs", self.student_inputs, x)

    def _label_assertions(self, y: Any) -> list[Any]:
        if y is None or self._goal().label_loss is None or self._specs is None:
            return []
        return labels.assert_labels_in_range(self.loss, y, self._specs.outputs)

    def _prepare_for(self, batch: Batch) -> None:
        """Refuse data that would train on nonsense, and build what is not built yet."""
        if self.student_inputs is None:
            refuse_complex("x", keras.tree.flatten(batch.x), self.student)
        refuse_complex("y", keras.tree.flatten(batch.y), None)
        has_teacher = self._parts.teacher is not None
        labels.check_present(batch.x, batch.y, self.student_loss_weight, has_teacher)
        self._check_class_weight(batch.y)
        specs = build_for(self, batch.x, batch.y)
        if batch.y is not None and self.compiled_metrics_container is not None:
            y_pred = labels.labelled_outputs(batch.y, specs.outputs, self.student)
            self._label_format = labels.refuse_other_label_format(
                self._label_format, batch.y, y_pred
            )

    def _check_class_weight(self, y: Any) -> None:
        """Refuse `class_weight` on dense labels; what a generator yields only the step sees."""
        if self._class_weighted and y is not None:
            built = self.student.built and getattr(self.student, "outputs", None)
            rank = max(len(t.shape) for t in self.student.outputs) if built else None
            labels.refuse_class_weight_on_dense_labels(y, rank)
            labels.refuse_class_weight_on_independent_labels(self.loss, y)


def _identity(gradient: Any) -> Any:
    return None if gradient is None else tf.identity(gradient)
