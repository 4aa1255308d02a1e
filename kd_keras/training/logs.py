"""What a training logs: metrics of the parts of its loss, beside the compiled metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras

from kd_keras.compat.directions import Directions
from kd_keras.training.objective import Losses


class StepLogs:
    """The metrics of the parts of a distillation's loss.

    A plain object, so that Keras does not track what is in it; the Distiller tracks `metrics`.

    Args:
        terms: Names of the distillation losses; they are logged one by one where there are several.
        members: Names of the teachers, where there are several.
    """

    def __init__(self, terms: Sequence[str], members: Sequence[str] = ()):
        self.student_loss = keras.metrics.Mean(name="student_loss")
        self.distillation_loss = keras.metrics.Mean(name="distillation_loss")
        self.total_loss = keras.metrics.Mean(name="total_loss")
        self.agreement = keras.metrics.Mean(name="agreement")
        self.teacher_accuracy = keras.metrics.Mean(name="teacher_accuracy")
        self._terms = [keras.metrics.Mean(name=name) for name in terms if len(terms) > 1]
        self.members = {
            name: (
                keras.metrics.Mean(name=f"{name}_agreement"),
                keras.metrics.Mean(name=f"{name}_teacher_accuracy"),
            )
            for name in members
        }
        of_members = [metric for both in self.members.values() for metric in both]
        self.metrics = [
            self.student_loss,
            self.distillation_loss,
            self.total_loss,
            *self._terms,
            self.agreement,
            self.teacher_accuracy,
            *of_members,
        ]
        up = (self.agreement, self.teacher_accuracy, *of_members)
        self.directions = Directions({m: "up" if m in up else "down" for m in self.metrics})

    def update(self, losses: Losses, batch_size: Any, training: bool) -> set[str]:
        """Take note of a step; return the names of the metrics that it told something.

        Args:
            losses: What the step gave.
            batch_size: Examples in it.
            training: Whether it trained: how good the teacher is is told in training alone.
        """
        told = [
            (self.student_loss, losses.student, batch_size),
            (self.distillation_loss, losses.distillation, batch_size),
        ]
        opinions = [(losses.teacher, self.agreement, self.teacher_accuracy)]
        opinions += [(losses.members.get(name), *both) for name, both in self.members.items()]
        for opinion, agreement, accuracy in opinions:
            if opinion is not None:
                told.append((agreement, opinion.agreement, opinion.positions))
                if training:
                    told.append((accuracy, opinion.accuracy, opinion.labelled))
        if losses.distillation is not None:
            told.append((self.total_loss, losses.total, batch_size))
            told += [
                (tracker, value, batch_size)
                for tracker, value in zip(self._terms, losses.terms, strict=False)
            ]
        told = [entry for entry in told if entry[1] is not None]
        for tracker, value, weight in told:
            tracker.update_state(value, sample_weight=weight)
        return {tracker.name for tracker, _, _ in told}


def refuse_taken_names(names: Iterable[str], compiled: Any, outputs: Sequence[str]) -> None:
    """Raise where a metric or an output of the user's would overwrite one of ours in the logs.

    Args:
        names: Of our metrics.
        compiled: The compiled metrics as given, any structure.
        outputs: Names of the student's outputs; of several, Keras logs "<output>_loss".

    Raises:
        ValueError: If a name is there twice.
    """
    given = {getattr(metric, "name", metric) for metric in keras.tree.flatten(compiled)}
    if len(outputs) > 1:
        given |= {f"{output}_loss" for output in outputs}
    taken = sorted(set(names) & {name for name in given if isinstance(name, str)})
    if taken:
        raise ValueError(
            "`metrics`, or losses of the student's outputs, are logged by names that the Distiller "
            f"logs itself: {taken}. Received: metrics={compiled!r}, outputs {list(outputs)}. Give "
            f"the metric or the output another name, such as 'my_{taken[0]}'."
        )
