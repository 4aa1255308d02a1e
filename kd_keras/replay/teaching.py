"""A recording in the place of a teacher, as the step sees it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kd_keras.augment.rows import local_rows
from kd_keras.replay.stream import IMAGES
from kd_keras.teachers.contract import LOG_PROBABILITIES, Teacher
from kd_keras.training.batch import RECORDED, Answer, Batch


class RepeatedTeacher(Teacher):
    """Answer with what was recorded of each view, and compare every batch with the recorded one.

    Args:
        network: The `ReplayTeacher` that describes it.
    """

    provides = frozenset({LOG_PROBABILITIES})
    answers_always = False
    holds = (
        "a recording holds the teacher's probabilities alone. Received: it with a ReplayTeacher. "
        "Distil with the live teacher, or leave the loss out."
    )
    # Rows were recorded of the views that stand there, whoever's they are.
    stays_in_place = frozenset({RECORDED})

    def accept(self, batch: Batch, step: Any) -> tuple[Batch, list[Any]]:
        if not isinstance(batch.x, dict) or RECORDED not in batch.x:
            if step is None:
                return batch, []
            raise ValueError(
                f"The teacher repeats the recording {self.network.folder!r}, and the data carry no "
                "labels of it. Received: plain batches. Fit with `replay.training(data)`, where "
                "replay is the ReplayTeacher."
            )
        x, recorded = batch.x[IMAGES], batch.x[RECORDED]
        batch = batch._replace(x=x)
        if step is None:
            return batch, []
        step = self.step_of_views(step)
        checks = self.network.mismatches(recorded, x, step, local_rows(x).index)
        return batch.with_extras(**{RECORDED: recorded}), checks

    def step_of_views(self, step: Any) -> tf.Tensor:
        return self.network.recorded_step(step)

    def answer(self, batch: Batch, watched: bool = False) -> Answer | None:
        if RECORDED not in batch.extras:
            return None  # of unrecorded images nobody says what the teacher thinks
        logits = self.network(batch.extras[RECORDED]["rows"])
        return Answer(logits, {}, logits)
