"""Images, each of one class."""

from __future__ import annotations

import keras

from kd_keras import augment, models
from kd_keras.augment.contract import Augmentation
from kd_keras.data.splits import DataInfo
from kd_keras.evaluate import Trials
from kd_keras.tasks.task import Task


class ImageTask(Task):
    """Classify images: uint8 pixels 0..255 `(batch, height, width, channels)`, a class of each."""

    name = "image"
    noun = "image"
    policies = augment.policy_names()

    def network(
        self, name: str, info: DataInfo, *, weight_decay: float = 0.0, seed: int | None = None
    ) -> keras.Model:
        return models.from_name(
            name,
            input_shape=info.image_shape,
            num_classes=info.num_classes,
            weight_decay=weight_decay,
            seed=seed,
        )

    def policy(self, name: str, seed: int) -> Augmentation:
        return augment.named(name, seed=seed)

    def trials(self, seed: int = 0) -> Trials:
        """Return all corruptions, shifts and attacks."""
        return Trials(seed=seed)
