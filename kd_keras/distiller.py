"""The Distiller: a Keras model whose training step teaches a student."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kd_keras.augment.adapter import Views, as_augmentation, augment_batch
from kd_keras.step import labels, mixing, persistence, replaying, replicas, sample_index, validation
from kd_keras.step.adaptation import Adaptation
from kd_keras.step.counter import add_step_counter
from kd_keras.step.functions import StepFunctions
from kd_keras.step.guard import Snapshot, stop_unless_finite
from kd_keras.step.input_gradients import Forward, run
from kd_keras.step.logs import StepLogs
from kd_keras.step.masks import masks_of, with_masks
from kd_keras.step.objective import StepLosses, make_terms, per_replica_share, top1_agreement
from kd_keras.step.persistence import SavedDistiller
from kd_keras.step.taps import TappedModel, forward
from kd_keras.step.weighing import Weighing, add_loss_sizes
from kd_keras.teachers import TeacherInference, freeze


@keras.saving.register_keras_serializable(package="kd_keras")
class Distiller(StepLogs, SavedDistiller, StepFunctions, replaying.ReplayedSteps):
    """Train a student on the labels and on a teacher that labels every augmented view.

    ```
    combine="convex":  loss = w * student_loss + (1 - w) * sum_i(weight_i * distillation_loss_i) + R
    combine="sum":     loss = student_loss + sum_i(weight_i * distillation_loss_i) + R
    ```

    R are the student's regularisers. One step augments the batch once, outside any XLA cluster,
    runs the frozen teacher once and the student once, and moves the student alone. `evaluate` takes
    the data as given.

    Logs: `loss`, `student_loss`, `distillation_loss`, `total_loss` (equal to `loss`, Keras's name),
    one entry for each distillation loss where there are several, `agreement` (share of examples for
    which student and teacher pick the same class) and the compiled metrics.

    The constructor is a superset of `keras.distillation.Distiller`, and the losses of either
    package work in the other's distiller.

    Args:
        teacher: A trained `keras.Model` (or `keras.Layer`); it is frozen (`trainable = False`).
        student: The `keras.Model` to train. It must not share layers with the teacher.
        distillation_losses: A `keras.distillation.DistillationLoss`, or a list of them.
        distillation_loss_weights: One number >= 0 for each loss; `None` means 1 for each. Each may
            be a `keras.optimizers.schedules.LearningRateSchedule` over the steps, as may
            `student_loss_weight`, and the temperatures and weights inside the losses; the logs show
            what they are.
        student_loss_weight: w, from 0 to 1. With 0 labels are not needed. With `combine="sum"` the
            student's loss has weight 1, and 0 here switches it off.
        name: Name of the model.
        augmentation: What both networks see instead of the batch: a policy of `kd_keras.augment`, a
            Keras or keras-cv layer, a callable on images, or a list of those. `None` for none.
        combine: "convex" or "sum".
        balance: "ema" divides each loss, the student's too, by a running mean of its size (decay
            0.99) before the weights act, so that these say what share each has; `None` does not.
        teacher_inference: How the teacher runs while it teaches. "auto": as a graph of constants,
            with batch normalisation merged, where that differs from the Keras model by at most 1e-4
            of the largest output, else as the Keras model; the log "kd_keras" says which. "keras":
            as the Keras model. "bfloat16": as a graph of constants in bfloat16, whatever the
            difference, which the log tells; faster on devices that compute in bfloat16.
        **kwargs: Passed on to `keras.Model`.

    Raises:
        ValueError: For models that do not fit together, losses that are none, and weights out of
            range; the message says what to do.

    Example:

    >>> import keras, kd_keras, numpy as np
    >>> teacher = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])
    >>> student = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])
    >>> distiller = kd_keras.Distiller(teacher, student, kd_keras.losses.KLDivergence(4.0))
    >>> distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((4, 8)), np.array([0, 1, 2, 0]), verbose=0)
    >>> sorted(history.history)
    ['agreement', 'distillation_loss', 'loss', 'student_loss', 'total_loss']

    Reference: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015,
    arXiv:1503.02531; for the view that both networks share: Beyer et al., "Knowledge distillation:
    A good teacher is patient and consistent", CVPR 2022, arXiv:2106.05237.
    """

    def __init__(
        self,
        teacher: Any,
        student: Any,
        distillation_losses: Any,
        distillation_loss_weights: Any = None,
        student_loss_weight: float = 0.5,
        name: str = "distiller",
        *,
        augmentation: Any = None,
        combine: str = "convex",
        balance: str | None = None,
        teacher_inference: str = "auto",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        self.autocast = False  # each network casts its own inputs, by its own policy
        validation.check_models(teacher, student)
        self.student_loss_weight = validation.check_student_loss_weight(
            student_loss_weight, combine
        )
        self.combine = combine
        self.balance = validation.check_balance(balance)
        self.teacher_inference = validation.check_teacher_inference(teacher_inference)
        self.distillation_losses = validation.check_losses(distillation_losses)
        self.distillation_loss_weights = validation.check_loss_weights(
            distillation_loss_weights, self.distillation_losses
        )
        self._terms = tuple(make_terms(self.distillation_losses, self.distillation_loss_weights))
        replaying.check(teacher, self._terms, augmentation)
        validation.check_compatibility(self._terms, teacher, student)
        validation.warn_of_broken_losses(self.distillation_losses)
        freeze(teacher, student)
        self.teacher = teacher
        self.student = student
        self._watches_inputs = any(term.wants_input_gradients for term in self._terms)
        self._loss_layers = [layer for term in self._terms for layer in term.layers]
        self._tapped_teacher = TappedModel(
            teacher, [t.teacher_tap for t in self._terms if t.teacher_tap is not None], "teacher"
        )
        self._teacher_inference = TeacherInference(
            self._tapped_teacher, teacher, self.teacher_inference
        )
        self._tapped_student = TappedModel(
            student, [t.student_tap for t in self._terms if t.student_tap is not None], "student"
        )
        self._augmentation = persistence.Untracked(as_augmentation(augmentation), augmentation)
        adaptive = getattr(self._augmentation.normalised, "adaptive", None)
        self._adaptation = None if adaptive is None else Adaptation(adaptive)
        self._adaptation_state = getattr(self._adaptation, "state", None)
        self._adaptation_trackers = getattr(self._adaptation, "trackers", [])
        self.step = add_step_counter(self)
        self._loss_sizes = None if balance is None else add_loss_sizes(self, len(self._terms))
        self._weighing = Weighing(self._terms, self.student_loss_weight, combine, self._loss_sizes)
        self._schedule_trackers = self._weighing.trackers
        self._add_trackers([term.name for term in self._terms])
        self._label_format: list[bool] | None = None
        self._specs: Any = None
        self.built = teacher.built and student.built and not self._loss_layers

    @property
    def augmentation(self) -> Any:
        """The augmentation, as it was given."""
        return self._augmentation.given

    @property
    def adaptation_variables(self) -> list[Any]:
        """What an adaptive augmentation has learnt: part of the state of training."""
        return [] if self._adaptation_state is None else self._adaptation_state.variables

    @property
    def output_names(self) -> list[str]:
        """The student's output names: losses and metrics are compiled by them."""
        return self.student.output_names

    def call(self, inputs: Any, training: Any = None) -> Any:
        """Return the student's outputs."""
        inputs, _ = replaying.split(inputs, self.teacher)
        inputs, _ = sample_index.split(inputs, self._terms, self.student)
        return forward(self.student, inputs, training)

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        metrics: Any = None,
        loss_weights: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Configure training; the arguments are those of `keras.Model.compile`.

        Args:
            optimizer: Optimizer of the student. With a float16 layer in the student it is wrapped
                in a `LossScaleOptimizer` unless `auto_scale_loss=False`.
            loss: The student's loss on the labels, or a dict or list by output. May be `None` only
                with `student_loss_weight=0`.
            metrics: Metrics of the student.
            loss_weights: Weights of the losses of several outputs.
            weighted_metrics: Metrics that `sample_weight` and `class_weight` act on.
            run_eagerly: Run the step in Python, for debugging.
            steps_per_execution: Steps in one call of the compiled function.
            jit_compile: Whether XLA compiles the core of the step: teacher, student forward and
                backward. The augmentation always stays outside. "auto" follows Keras's own rules.
            auto_scale_loss: See `optimizer`.
        """
        if loss is None and self.student_loss_weight != 0:
            raise ValueError(
                "'loss' cannot be `None` while `student_loss_weight` is "
                f"{self.student_loss_weight}. Pass the student's loss, or build the Distiller with "
                "student_loss_weight=0 to train on the teacher alone."
            )
        labels.warn_if_logits_meet_probability_loss(loss, self.student)
        # Keras forgets neither when it compiles again without them.
        self._compile_loss = self._compile_metrics = None
        self._label_format = None
        self._ready = False
        self._teacher_inference.forget()
        self.loss = None
        super().compile(
            optimizer=persistence.scale_loss_if_float16(optimizer, self.student, auto_scale_loss),
            loss=loss,
            loss_weights=loss_weights,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
            auto_scale_loss=auto_scale_loss,
        )

    def train_step(self, data: Any) -> dict[str, Any]:
        """Augment once, run the core once, and apply the gradients if they are finite."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        x, recorded = replaying.split(x, self.teacher)
        x, index = sample_index.split(x, self._terms, self.student)
        self._prepare_for(x, y)
        step, checks = replaying.place(self.teacher, recorded, x, tf.convert_to_tensor(self.step))
        # No tape is open here: views are data.
        views = augment_batch(
            self._augmentation.normalised,
            x,
            y,
            sample_weight,
            step,
            lambda x: self._teacher_inference(x)[0],
            index,
        )
        views = replaying.with_recorded_answers(views, self.teacher, recorded)
        if views.share is not None and self._compile_loss is not None:
            mixing.refuse_unmixable_loss(self.loss)
        moving = [*self.student.variables, *(v for la in self._loss_layers for v in la.variables)]
        snapshot = Snapshot([variable for variable in moving if not variable.trainable])
        checks += self._label_assertions(views.y)
        checks += sample_index.assert_in_range(index, self._terms)
        with tf.control_dependencies(checks):
            gradients, losses, y_pred, masks = self._core_function()(views)
        y_pred = with_masks(y_pred, masks)
        checks = stop_unless_finite(
            gradients,
            {"student_loss": losses.student, "distillation_loss": losses.distillation},
            snapshot,
            check_gradients=not isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer),
        )
        with tf.control_dependencies(checks):
            # Without the identities the optimizer could start before the checks are through.
            gradients = [None if g is None else tf.identity(g) for g in gradients]
            self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
            self._weighing.learn(losses.student, losses.terms, self.step)
            self.step.assign_add(1)
            if self._adaptation is not None:
                self._adaptation.learn(views.choice, losses.gaps)
        self._update_trackers(losses, views.x)
        return self.compute_metrics(views.x, views.y, y_pred, views.sample_weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Measure losses and metrics on the data as given; nothing moves."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        x, _ = replaying.split(x, self.teacher)
        x, _ = sample_index.split(x, self._terms, self.student)
        self._prepare_for(x, y)
        if replaying.is_replayed(self.teacher):
            return self._test_without_teacher(x, y, sample_weight)
        teacher = self._run(self._teacher_inference, x, training=False)
        student = self._run(self._tapped_student, x, training=False)
        losses = self._step_losses(Views(x, y, sample_weight), teacher, student, training=False)
        self._update_trackers(losses, x)
        results = self.compute_metrics(x, y, student.outputs, sample_weight)
        training_only = (*self._adaptation_trackers, *self._schedule_trackers)
        unmoved = {tracker.name for tracker in training_only}
        return {name: value for name, value in results.items() if name not in unmoved}

    def _core(self, views: Views) -> tuple[list[Any], StepLosses, Any, list[Any]]:
        """Teacher, student forward and backward: the part of the step that XLA may compile."""
        if views.teacher_outputs is None or self._tapped_teacher.names or self._watches_inputs:
            teacher = self._run(self._teacher_inference, views.x, training=False)
        else:
            teacher = Forward(views.teacher_outputs, {})
        with tf.GradientTape() as tape:
            student = self._run(self._tapped_student, views.x, training=True)
            losses = self._step_losses(views, teacher, student, training=True)
            objective = self.optimizer.scale_loss(losses.objective)
        if not self.trainable_weights:
            raise ValueError(
                f"The student {self.student.name!r} has no trainable weights, so there is nothing "
                "to train. Received: a student with trainable=False, or without weights. Set "
                "`student.trainable = True` before building the Distiller."
            )
        gradients = tape.gradient(objective, self.trainable_weights)
        return gradients, losses, student.outputs, masks_of(student.outputs)

    def _run(self, network: TappedModel | TeacherInference, x: Any, training: bool) -> Forward:
        return run(network, x, training, watched=self._watches_inputs)

    def _step_losses(
        self, views: Views, teacher: Forward, student: Forward, training: bool
    ) -> StepLosses:
        x, y, sample_weight = views.x, views.y, views.sample_weight
        names = validation.check_output_shapes(
            teacher.outputs, student.outputs, self.loss, y, self._terms
        )
        scaled_student = tf.zeros(())
        if self._compile_loss is not None and y is not None and self.student_loss_weight != 0:
            y_pred = labels.labelled_outputs(y, student.outputs, self.student)
            scaled_student = mixing.label_loss(self._compile_loss, views, y_pred)
        if views.share is not None:
            sample_weight = mixing.mixed_weight(
                sample_weight, views.second_sample_weight, views.share
            )
        inputs = {
            "x": x,
            "y": y,
            "sample_weight": sample_weight,
            "training": training,
            "sample_index": views.sample_index,
        }
        step = tf.convert_to_tensor(self.step)
        terms = [term.value(teacher, student, inputs, step, self.student) for term in self._terms]
        student_loss = tf.cast(scaled_student, tf.float32) * replicas.count()
        weighed = self._weighing(student_loss, terms, step)
        objective = per_replica_share(weighed.objective)
        for layer in (self.student, *self._loss_layers):
            for regulariser in layer.losses:
                objective += tf.cast(self._aggregate_additional_loss(regulariser), tf.float32)
        agreement, positions = top1_agreement(
            (self.teacher, teacher.outputs), (self.student, student.outputs), names
        )
        return StepLosses(
            objective,
            objective * replicas.count(),
            student_loss,
            weighed.distillation,
            terms,
            agreement,
            positions,
            None
            if self._adaptation is None
            else self._adaptation.gaps(teacher.outputs, student.outputs),
        )

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the combined loss on `x`, as `train_step` minimises it without augmentation.

        `y_pred` may be given to save the student's forward pass where no loss taps the student.
        """
        x, index = sample_index.split(x, self._terms, self.student)
        teacher = self._run(self._tapped_teacher, x, training=False)
        if y_pred is None or self._tapped_student.names or self._watches_inputs:
            student = self._run(self._tapped_student, x, training)
        else:
            student = Forward(y_pred, {})
        views = Views(x, y, sample_weight, sample_index=index)
        return self._step_losses(views, teacher, student, training).objective

    def _label_assertions(self, y: Any) -> list[Any]:
        if y is None or self._compile_loss is None or self.student_loss_weight == 0:
            return []
        return labels.assert_labels_in_range(self.loss, y, self._specs.outputs)

    def _prepare_for(self, x: Any, y: Any) -> None:
        """Refuse labels that would train on nonsense, and build what is not built yet."""
        labels.check_present(x, y, self.student_loss_weight)
        self._check_class_weight(y)
        self._build_for(x, y)
        if y is not None and self._compile_metrics is not None:
            y_pred = labels.labelled_outputs(y, self._specs.outputs, self.student)
            self._label_format = labels.refuse_other_label_format(self._label_format, y, y_pred)
