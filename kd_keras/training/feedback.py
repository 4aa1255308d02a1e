"""What an adaptive augmentation gets to know of a step, and what the logs show of it."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kd_keras.augment.contract import Adaptive
from kd_keras.losses import KLDivergence
from kd_keras.training.batch import CHOICE
from kd_keras.training.plugin import Plugin, Results


class Feedback(Plugin):
    """The link between a Distiller and the part of its augmentation that learns.

    It learns from KL(teacher || student) of each view, at temperature 1, and logs the probabilities
    that the step had.

    Args:
        augmentation: The part that learns.
    """

    def __init__(self, augmentation: Adaptive):
        self._augmentation = augmentation
        self._gap = KLDivergence(1.0)
        self.layers = (augmentation.state,)
        self.metrics = [keras.metrics.Mean(name=f"feedback_{name}") for name in augmentation.names]

    def after_step(self, results: Results, step: Any) -> None:
        for tracker, probability in zip(
            self.metrics, tf.unstack(self._augmentation.probabilities()), strict=True
        ):
            tracker.update_state(probability)
        choice = results.batch.extras.get(CHOICE)
        # None after a mixing that followed: no view has a choice of its own.
        if choice is not None and results.teacher is not None:
            gaps = self._gap.per_example(results.teacher.logits, results.student.logits)
            self._augmentation.observe(choice, gaps)
