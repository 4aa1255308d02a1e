"""`Task`: what follows from the kind of the data."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, ClassVar

import keras

from kd_keras.augment.contract import Augmentation
from kd_keras.data.splits import DataInfo, TaskName
from kd_keras.evaluate import Trials


class Task(abc.ABC):
    """What follows from the kind of the data; it holds no state.

    Attributes:
        name: As `DataInfo.task`.
        noun: What one example is called, in the singular, such as "image".
        policies: Names of the policies that fit, for recipes. The first changes nothing.
        ignored: The label of positions that count nothing, where there is such a one.
    """

    name: ClassVar[TaskName]
    noun: ClassVar[str]
    policies: ClassVar[Sequence[str]]
    ignored: ClassVar[int | None] = None

    @abc.abstractmethod
    def network(
        self, name: str, info: DataInfo, *, weight_decay: float = 0.0, seed: int | None = None
    ) -> keras.Model:
        """Return a new network: examples as the data give them in, logits out.

        Args:
            name: The architecture, such as "resnet20".
            info: Shape of the examples and number of classes.
            weight_decay: Decay of the kernels, from 0 to below 1.
            seed: Seed of the initial weights; None for random ones.

        Raises:
            ValueError: If there is no such architecture for the task.
        """

    @abc.abstractmethod
    def policy(self, name: str, seed: int) -> Augmentation:
        """Return one of `policies`; its views are a function of (seed, step, position).

        Raises:
            ValueError: If it is none of them.
        """

    def loss(self) -> keras.losses.Loss:
        """Return the loss of the labels: the cross-entropy of logits and classes."""
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return what a training logs. "accuracy" on the validation split chooses an epoch."""
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]

    @abc.abstractmethod
    def trials(self, seed: int = 0) -> Trials:
        """Return what the robustness of a network is measured by."""

    def export_arguments(self, info: DataInfo) -> dict[str, Any]:
        """Return what `kd_keras.export.to_tflite` needs to know of the student's inputs."""
        return {"labels": info.class_names}
