"""Images with a class for every pixel."""

from __future__ import annotations

import re
from typing import Any

import keras

from kd_keras import augment, models
from kd_keras.augment.contract import Augmentation
from kd_keras.data.splits import DataInfo
from kd_keras.evaluate import Trials
from kd_keras.tasks.task import Task

# The label of a pixel of which nothing is known, as `kd_keras.data` gives it.
IGNORED = 255
_UNET = re.compile(r"unet(?P<width>[0-9]{1,9})(?:d(?P<depth>[0-9]{1,9}))?")
# Whether one moves pixels, a label map follows; of a mixture of two pictures no map is the label.
_MIXING = ("mixup", "cutmix", "fmix")
_CORRUPTIONS = ("gaussian_noise", "defocus_blur", "brightness", "contrast", "jpeg_compression")
_SEVERITY = 3


class SegmentationTask(Task):
    """Tell the class of every pixel: uint8 images, and label maps of their height and width."""

    name = "segmentation"
    noun = "image"
    ignored = IGNORED
    policies = tuple(name for name in augment.policy_names() if name not in _MIXING)

    def network(
        self, name: str, info: DataInfo, *, weight_decay: float = 0.0, seed: int | None = None
    ) -> keras.Model:
        match = _UNET.fullmatch(name)
        if match is None:
            raise ValueError(
                "`name` must be one of the forms unet<width>, unet<width>d<depth>, such as "
                f"'unet8' or 'unet4d2', for data with a class for every pixel. Received: "
                f"name={name!r}. For a network of your own give a .keras file."
            )
        return models.unet(
            info.image_shape,
            info.num_classes,
            width=int(match["width"]),
            depth=int(match["depth"] or 3),
            weight_decay=weight_decay,
            seed=seed,
            name=name,
        )

    def policy(self, name: str, seed: int) -> Augmentation:
        return augment.named(name, seed=seed)

    def loss(self) -> keras.losses.Loss:
        """Return the cross-entropy of every pixel, of which 255 counts nothing."""
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED)

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the share of pixels that get their class."""
        return [PixelAccuracy(IGNORED)]

    def trials(self, seed: int = 0) -> Trials:
        """Return changes of the pixels that leave them in their places."""
        from kd_keras.evaluate.corruptions import corrupt

        def changed_by(corruption: str) -> Any:
            return lambda images: corrupt(images, corruption, _SEVERITY, seed=seed)

        return Trials(
            corruptions=(),
            severities=(),
            rotations=(),
            scales=(),
            attacks=False,
            seed=seed,
            perturbations={
                f"{name.replace('_', ' ')}, severity {_SEVERITY}": changed_by(name)
                for name in _CORRUPTIONS
            },
        )


@keras.saving.register_keras_serializable(package="kd_keras")
class PixelAccuracy(keras.metrics.MeanMetricWrapper):
    """The share of pixels whose largest logit is their label's; called "accuracy" in logs.

    Args:
        ignored: The label of pixels that do not count.
        name: What it is logged as.
    """

    def __init__(self, ignored: int, name: str = "accuracy", **kwargs: Any):
        super().__init__(_hits, name=name, **kwargs)
        self.ignored = ignored
        self._direction = "up"

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        counted = keras.ops.cast(keras.ops.not_equal(y_true, self.ignored), "float32")
        if sample_weight is not None:
            counted = counted * _per_pixel(keras.ops.cast(sample_weight, "float32"), counted)
        return super().update_state(y_true, y_pred, sample_weight=counted)

    def get_config(self) -> dict[str, Any]:
        return {"ignored": self.ignored, "name": self.name, "dtype": self.dtype}


def _hits(y_true: Any, y_pred: Any) -> Any:
    return keras.ops.cast(
        keras.ops.equal(keras.ops.cast(y_true, "int64"), keras.ops.argmax(y_pred, axis=-1)),
        "float32",
    )


def _per_pixel(weight: Any, pixels: Any) -> Any:
    while len(weight.shape) < len(pixels.shape):
        weight = keras.ops.expand_dims(weight, axis=-1)
    return weight
