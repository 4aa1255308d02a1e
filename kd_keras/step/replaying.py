"""What a Distiller does differently where a recording teaches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from kd_keras.augment.rows import local_rows
from kd_keras.augment.views import Views
from kd_keras.replay.stream import IMAGES, KEY
from kd_keras.replay.teacher import ReplayTeacher
from kd_keras.step import labels, mixing, replicas
from kd_keras.step.objective import Term

_LIVE = "Distil with the live teacher, or leave the loss out."


def is_replayed(teacher: Any) -> bool:
    """Whether a teacher repeats what was recorded."""
    return isinstance(teacher, ReplayTeacher)


def check(teacher: Any, terms: Sequence[Term], augmentation: Any) -> None:
    """Raise `ValueError` where a recording cannot teach what is asked of it.

    Args:
        teacher: Any teacher; only a `ReplayTeacher` is looked at.
        terms: The distillation losses.
        augmentation: As it was given to the Distiller.
    """
    if not is_replayed(teacher):
        return
    for term in terms:
        name = type(term.loss).__name__
        if term.teacher_tap is not None or term.layers:
            raise ValueError(
                f"{name} matches features, and a recording holds the teacher's probabilities "
                f"alone. Received: it with a ReplayTeacher. {_LIVE}"
            )
        if term.wants_input_gradients:
            raise ValueError(
                f"{name} needs the teacher's gradient at its inputs, and a recording holds the "
                f"teacher's probabilities alone. Received: it with a ReplayTeacher. {_LIVE}"
            )
        if not _ignores_a_shift(term.loss):
            raise ValueError(
                f"{name} needs raw logits, and a recording holds log-probabilities, which are the "
                "logits up to a constant for each example. Received: it with a ReplayTeacher. Use "
                "KLDivergence, SoftCrossentropy, ProbabilityMSE, DecoupledKD, DIST, StandardizedKL "
                "or HardLabel; a loss of your own that is the same for logits + constant says so "
                "with the class attribute `shift_invariant = True`."
            )
    teacher.refuse_other_views(augmentation)


def _ignores_a_shift(loss: Any) -> bool:
    if isinstance(loss, keras.distillation.LogitsDistillation):
        return all(
            isinstance(leaf, keras.losses.KLDivergence) for leaf in keras.tree.flatten(loss.loss)
        )
    return bool(getattr(loss, "shift_invariant", False))


def split(x: Any, teacher: Any) -> tuple[Any, Any]:
    """Return (inputs of the networks, what the batch carries of a recording, or `None`).

    Raises:
        ValueError: If the batch carries recorded labels and the teacher is a live one.
    """
    if not isinstance(x, dict) or KEY not in x:
        return x, None
    if not is_replayed(teacher):
        raise ValueError(
            "The data carry recorded labels, and `teacher` is a live one. Received: teacher="
            f"{type(teacher).__name__}. Pass the ReplayTeacher that made them, or plain data."
        )
    return x[IMAGES], x[KEY]


def place(teacher: Any, recorded: Any, x: Any, step: tf.Tensor) -> tuple[tf.Tensor, list[Any]]:
    """Return the step whose views are due, and assertions that the batch is the recorded one.

    Args:
        teacher: Any teacher.
        recorded: From `split`.
        x: From `split`.
        step: Count of the steps so far.

    Raises:
        ValueError: If a recording teaches and the batch carries no labels.
    """
    if not is_replayed(teacher):
        return step, []
    if recorded is None:
        raise ValueError(
            f"The teacher repeats the recording {teacher.folder!r}, and the data carry no labels "
            "of it. Received: plain batches. Fit with `replay.training(data)`, where replay is the "
            "ReplayTeacher."
        )
    step = teacher.recorded_step(step)
    return step, teacher.mismatches(recorded, x, step, local_rows(x).index)


def with_recorded_answers(views: Views, teacher: Any, recorded: Any) -> Views:
    """Return the views with what was recorded of them, where a recording teaches."""
    if recorded is None:
        return views
    return views._replace(teacher_outputs=teacher(recorded["rows"]))


class ReplayedSteps(keras.Model):
    """The part of the Distiller that measures where nobody knows what the teacher thinks."""

    def _test_without_teacher(self, x: Any, y: Any, sample_weight: Any) -> dict[str, Any]:
        """Return the student's loss and the compiled metrics."""
        student = self._run(self._tapped_student, x, training=False)
        loss = tf.zeros(())
        if self._compile_loss is not None and y is not None:
            y_pred = labels.labelled_outputs(y, student.outputs, self.student)
            loss = mixing.label_loss(self._compile_loss, Views(x, y, sample_weight), y_pred)
        batch = tf.shape(keras.tree.flatten(x)[0])[0]
        scaled = tf.cast(loss, tf.float32) * replicas.count()
        self.student_loss_tracker.update_state(scaled, sample_weight=batch)
        results = self.compute_metrics(x, y, student.outputs, sample_weight)
        own = {metric.name for metric in self.metrics if metric is not self._compile_metrics}
        return {
            name: value
            for name, value in results.items()
            if name not in own or name == self.student_loss_tracker.name
        }
