"""What each loss counts at a step: numbers, schedules, and sizes that are balanced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import ops

from kd_keras.losses.contract.schedules import at_step, is_schedule
from kd_keras.training.plugin import Plugin, Results

_DECAY = 0.99


class Weighed(NamedTuple):
    """The two parts of the objective, weighed, as if there were one replica."""

    student: Any
    distillation: Any  # with the weights of its losses, without that of `combine`
    objective: Any


class Weighing(Plugin):
    """Combine the student's loss and the distillation losses.

    The Distiller tracks `sizes` and `metrics`.

    Args:
        terms: The distillation losses.
        student_loss_weight: Number or schedule.
        combine: "convex" or "sum".
        sizes: Variable `(1 + losses,)` with the running means of the sizes of the student's loss
            and of each distillation loss, or `None` where nothing is balanced.
    """

    def __init__(self, terms: Sequence[Any], student_loss_weight: Any, combine: str, sizes: Any):
        self._weights = [term.weight for term in terms]
        self._student_loss_weight = student_loss_weight
        self._combine = combine
        self.sizes = sizes
        self._scheduled: list[tuple[str, Any]] = []
        if is_schedule(student_loss_weight):
            self._scheduled.append(("student_loss_weight", student_loss_weight))
        for term in terms:
            if is_schedule(term.weight):
                self._scheduled.append((f"{term.name}_weight", term.weight))
            for name, value in vars(term.loss).items():
                if is_schedule(value):
                    self._scheduled.append((f"{term.name}_{name}", value))
        self.metrics = [keras.metrics.Mean(name=name) for name, _ in self._scheduled]

    def __call__(self, student: Any, values: Sequence[Any], step: Any) -> Weighed:
        """Return the parts of the objective at `step`.

        Args:
            student: The student's loss, a float32 scalar, not scaled for distribution.
            values: The distillation losses, the same.
            step: The step before this one is counted: 0 at first.
        """
        if not values:
            return Weighed(student, None, student)
        student, *values = self._balanced([student, *values], step)
        distillation = tf.add_n(
            [at_step(w, step) * value for w, value in zip(self._weights, values, strict=True)]
        )
        objective = student + distillation
        if self._combine == "convex":
            share = at_step(self._student_loss_weight, step)
            objective = share * student + (1.0 - share) * distillation
        return Weighed(student, distillation, objective)

    def after_step(self, results: Results, step: Any) -> None:
        """Move the running means by what a step measured, and log what is scheduled."""
        for tracker, (_, schedule) in zip(self.metrics, self._scheduled, strict=True):
            tracker.update_state(at_step(schedule, step))
        if self.sizes is not None:
            now = tf.abs(tf.stack([results.losses.student, *results.losses.terms]))
            self.sizes.assign(_DECAY * self.sizes + (1.0 - _DECAY) * now)

    def _balanced(self, values: list[Any], step: Any) -> list[Any]:
        if self.sizes is None:
            return values
        # The running means begin at 0, so their sum of weights is 1 - decay^step. Before the first
        # step there is nothing but the values themselves: this replica's, as the core of the step
        # cannot ask the others.
        seen = 1.0 - tf.pow(_DECAY, tf.cast(step, tf.float32))
        own = tf.stop_gradient(tf.abs(tf.stack(values)))
        sizes = tf.where(
            step > 0, tf.math.divide_no_nan(tf.convert_to_tensor(self.sizes), seen), own
        )
        return [
            ops.divide_no_nan(v, size) for v, size in zip(values, tf.unstack(sizes), strict=True)
        ]


def add_loss_sizes(model: keras.Model, losses: int) -> Any:
    """Give `model` the running means of the sizes of its losses, and return them."""
    return model.add_weight(
        name="loss_sizes",
        shape=(1 + losses,),
        dtype="float32",
        initializer="zeros",
        trainable=False,
        autocast=False,
        aggregation="mean",
    )
