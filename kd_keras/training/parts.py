"""What a training is made of, and what is asked of all its parts at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from kd_keras.teachers.contract import Teacher
from kd_keras.training.batch import STUDENTS, Answer, Batch
from kd_keras.training.logs import StepLogs
from kd_keras.training.network import Network
from kd_keras.training.objective import Losses
from kd_keras.training.plugin import Plugin
from kd_keras.training.term import Term
from kd_keras.training.weighing import Weighing


@dataclasses.dataclass
class Parts:
    """What a training is made of. A plain object, so that Keras does not track what is in it.

    Attributes:
        network: The student as the step sees it.
        weighing: Combines the losses.
        teacher: Who teaches, or `None`.
        terms: The distillation losses.
        plugins: All parts that take part in the step, the teacher and the weighing among them.
        logs: Metrics of the parts of the loss, or `None`.
        watched: Whether a loss asks for gradients at the inputs.
    """

    network: Network
    weighing: Weighing
    teacher: Teacher | None = None
    terms: Sequence[Term] = ()
    plugins: Sequence[Plugin] = ()
    logs: StepLogs | None = None
    watched: bool = False

    def accept(self, batch: Batch, step: Any) -> tuple[Batch, list[Any]]:
        """Let each part take out of the batch what is its own, as `Plugin.accept` does."""
        checks: list[Any] = []
        for plugin in self.plugins:
            batch, more = plugin.accept(batch, step)
            checks += more
        return batch, checks

    def kept_and_following(self, extras: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the extras that stay in their places, and those that follow their examples."""
        staying = frozenset[str]().union(*(plugin.stays_in_place for plugin in self.plugins))
        kept = {name: value for name, value in extras.items() if name in staying}
        return kept, {name: value for name, value in extras.items() if name not in staying}

    def step_of_views(self, step: Any) -> Any:
        """Return the step whose views are drawn at `step`."""
        for plugin in self.plugins:
            step = plugin.step_of_views(step)
        return step

    def ask(self, batch: Batch, training: bool) -> Answer | None:
        """Return what the teacher says of a batch; `None` without one, or where it is silent."""
        if self.teacher is None:
            return None
        ask = self.teacher.answer if training else self.teacher.answer_again
        return ask(batch, watched=self.watched)

    def overheard(self, batch: Batch, student: Answer) -> Batch:
        """Return a batch with what the student said of it, as constants, for who listens to it."""
        if self.teacher is None or not self.teacher.hears_students:
            return batch
        outputs, logits = keras.tree.map_structure(
            tf.stop_gradient, (student.outputs, student.logits)
        )
        return batch.with_extras(**{STUDENTS: Answer(outputs, {}, logits)})

    def evidence(self, losses: Losses) -> dict[str, Any]:
        """Return what tells which teacher broke a step, by name."""
        if losses.teacher is None or self.teacher is None:
            return {}
        opinions = losses.members or {self.teacher.network.name: losses.teacher}
        return {
            f"outputs of the teacher {name!r} that are not finite": opinion.broken
            for name, opinion in opinions.items()
        }
