"""What an adaptive augmentation gets to know of a step, and what the logs show of it."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kd_keras.augment.views import Adaptive
from kd_keras.losses import KLDivergence


class Adaptation:
    """The link between a Distiller and the part of its augmentation that learns.

    A plain object, so that Keras does not track what is in it; the Distiller tracks `state` and
    `trackers`.

    Args:
        augmentation: The part that learns.
    """

    def __init__(self, augmentation: Adaptive):
        self._augmentation = augmentation
        self._gap = KLDivergence(1.0)
        self.state = augmentation.state
        self.trackers = [keras.metrics.Mean(name=f"feedback_{name}") for name in augmentation.names]

    def gaps(self, teacher_outputs: Any, student_outputs: Any) -> tf.Tensor:
        """Return KL(teacher || student) of each example at temperature 1, `(batch,)`."""
        return self._gap.per_example(teacher_outputs, student_outputs)

    def learn(self, choice: Any, gaps: tf.Tensor) -> None:
        """Let the augmentation learn from a step, and log the probabilities that the step had."""
        for tracker, probability in zip(
            self.trackers, tf.unstack(self._augmentation.probabilities()), strict=True
        ):
            tracker.update_state(probability)
        if choice is not None:  # None after a mixing that followed: no view has a choice of its own
            self._augmentation.observe(choice, gaps)
