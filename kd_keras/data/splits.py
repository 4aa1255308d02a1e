"""What `load` returns, and the rule by which a dataset is cut into train, validation and test."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import tensorflow as tf

from kd_keras.arguments import check_integer
from kd_keras.image_files import fingerprint

# What there is to learn; each has a file in `kd_keras.tasks`.
TaskName = Literal["image", "audio", "text", "segmentation"]
# What datasets call their validation split.
VALIDATION_NAMES = ("validation", "val", "valid", "dev")
SPLITS = ("train", "test", *VALIDATION_NAMES)


@dataclasses.dataclass(frozen=True)
class DataInfo:
    """What is known about a loaded dataset.

    Attributes:
        name: The name that was loaded; for a folder of images, its path.
        version: Version of the prepared data.
        num_classes: Number of classes.
        class_names: Name of each class, by label.
        input_shape: Shape of every example, without a batch axis: of images (height, width,
            channels).
        train_examples: Examples in the training split, after `limit`.
        validation_examples: Examples in the validation split.
        test_examples: Examples in the test split.
        split_rule: How the source was cut, such as
            `train: train[0:45000], validation: train[45000:50000], test: test[0:10000]`.
        folder: The path of a folder of files; None for a dataset of TensorFlow Datasets.
        task: What is learnt from them, one of `kd_keras.tasks`.
        input_dtype: Dtype of the examples.
        label_shape: Shape of the label of one example: () for one class.
        details: What else the task needs to know of them, in forms that JSON has: a sample rate, a
            vocabulary.
    """

    name: str
    version: str
    num_classes: int
    class_names: tuple[str, ...]
    input_shape: tuple[int, ...]
    train_examples: int
    validation_examples: int
    test_examples: int
    split_rule: str
    folder: str | None = None
    task: TaskName = "image"
    input_dtype: str = "uint8"
    label_shape: tuple[int, ...] = ()
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image.

        Raises:
            ValueError: If the examples are no images.
        """
        if len(self.input_shape) != 3:
            raise ValueError(
                f"`image_shape` is of data of images. Received: {self.title!r}, whose examples "
                f"have the shape {self.input_shape}. Take `input_shape`."
            )
        height, width, channels = self.input_shape
        return height, width, channels

    @property
    def title(self) -> str:
        """What a reader knows the data by: of a folder of images its own name, not where it is."""
        if self.folder is None:
            return self.name
        return os.path.basename(os.path.abspath(self.folder)) or self.folder

    def identity(self) -> dict[str, Any]:
        """Return what tells the data from others, as JSON knows it.

        Where a folder of images lies is no part of it: it may move.
        """
        fields = dataclasses.asdict(self)
        folder = fields.pop("folder")
        if self.task == "image":
            # As earlier versions wrote it, when there were no others.
            fields["image_shape"] = fields.pop("input_shape")
            for name in ("task", "input_dtype", "label_shape", "details"):
                del fields[name]
        if folder is not None:
            fields["name"] = "a folder of images"
            fields["images"] = fingerprint(folder)
        read: dict[str, Any] = json.loads(json.dumps(fields))  # tuples become lists, as in a file
        return read


@dataclasses.dataclass(frozen=True)
class Order:
    """What decides the order of the training batches, of given data.

    Attributes:
        batch_size: Examples in a batch.
        seed: Seed of the order.
        drop_remainder: Whether a smaller last batch of an epoch is left out.
        window: Examples that are shuffled among each other.
    """

    batch_size: int
    seed: int
    drop_remainder: bool
    window: int


@dataclasses.dataclass(frozen=True)
class Splits:
    """Three `tf.data.Dataset`s of batches (x, y), and what is known about them.

    x has the dtype info.input_dtype and the shape (batch, *info.input_shape): images are uint8 in
    0..255 of shape (batch, height, width, channels). y is int64, (batch, *info.label_shape): of
    images (batch,).

    The test split is for the last figure alone: choose a model, an epoch, a temperature or
    anything else on `validation`, which always exists.

    Attributes:
        train: One epoch, in a new order at each iteration: the j-th iteration over this object
            has the order of epoch j, counted from 0 and from when it was loaded. Anything that
            starts an iteration counts, a glance at the first batch too; a run that must be
            repeatable to the step takes `training` instead.
        validation: In a fixed order, the last batch possibly smaller.
        test: In a fixed order, the last batch possibly smaller.
        info: Names, shapes and sizes.
        steps_per_epoch: Batches in one epoch of training.
        order: What decides the order of the training batches.
    """

    train: tf.data.Dataset
    validation: tf.data.Dataset
    test: tf.data.Dataset
    info: DataInfo
    steps_per_epoch: int
    order: Order
    _stream: Callable[[int, int], tf.data.Dataset] = dataclasses.field(repr=False)

    def training(self, first_epoch: int = 0, first_step: int = 0) -> tf.data.Dataset:
        """Return the endless stream of training batches from one epoch onwards.

        The order of epoch k is a function of (seed, k) alone. A run that was killed and goes on
        with `first_epoch=k` therefore sees what the unbroken run would have seen, in any process;
        `kd_keras.Checkpoint` does that. Every new iteration over the stream starts at `first_epoch`
        again. A batch never spans two epochs.

        Args:
            first_epoch: The epoch to begin with, counted from 0.
            first_step: The batch of that epoch to begin with, counted from 0. The images of those
                before are not decoded for it, unless they are kept in memory.

        Returns:
            An infinite `tf.data.Dataset`. `fit` needs `steps_per_epoch` with it and then draws
            all its epochs from one iterator.

        Raises:
            ValueError: If `first_epoch` is not an integer of at least 0, or `first_step` is no step
                of an epoch.

        Example:

        ```python
        import kd_keras

        splits = kd_keras.data.load("digits")
        batches = splits.training(first_epoch=3)
        # model.fit(batches, steps_per_epoch=splits.steps_per_epoch, initial_epoch=3, epochs=10)
        ```
        """
        first_epoch = check_integer("first_epoch", first_epoch, 0)
        remedy = f"An epoch has steps_per_epoch={self.steps_per_epoch}."
        first_step = check_integer("first_step", first_step, 0, self.steps_per_epoch - 1, remedy)
        return self._stream(first_epoch, first_step)


class Part(NamedTuple):
    """Examples `start` to `stop` of one split of a builder."""

    split: str
    start: int
    stop: int

    def __str__(self) -> str:
        return f"{self.split}[{self.start}:{self.stop}]"

    @property
    def examples(self) -> int:
        return self.stop - self.start


def split_folders(folder: Path) -> dict[str, Path]:
    """Return the folder of each split; all is `train` where the folder holds classes alone."""
    found = {name: folder / name for name in sorted(SPLITS) if (folder / name).is_dir()}
    return found or {"train": folder}


def missing_splits(available: Collection[str]) -> int:
    """Return how many of validation and test are to be cut off from `train`.

    With no test split, the published validation split is the test split.
    """
    published = {"test", *VALIDATION_NAMES} & set(available)
    return max(0, 2 - len(published))


def cut(
    name: str,
    available: Mapping[str, int],
    validation_fraction: float,
    share: int | None = None,
) -> tuple[Part, Part, Part]:
    """Return the parts of a builder's splits that are train, validation and test.

    What a dataset publishes as `train`, `validation` (or `val`, `valid`, `dev`) and `test` is taken
    as it is. With no validation split, the end of `train` is. With no test split, the published
    validation split is the test split, as is the custom of such datasets; with neither, the end of
    `train` is.

    Args:
        name: Name of the dataset, for errors.
        available: Examples of each split of the builder.
        validation_fraction: Share of `train` that is cut off for each split that is missing.
        share: How many examples that is, where it is not that share of all.

    Raises:
        ValueError: If there is no `train`, or a part would be empty.
    """
    if "train" not in available:
        raise ValueError(
            f"A dataset needs a split 'train' to train on. Received: {name!r} with the splits "
            f"{sorted(available)}. Choose another dataset, or arrange its images in a folder with "
            "train/<class>/ and test/<class>/."
        )
    validation = next((split for split in VALIDATION_NAMES if split in available), None)
    test = "test" if "test" in available else validation
    if test == validation:
        validation = None
    end = available["train"]
    size = max(1, round(end * validation_fraction)) if share is None else share

    def published_or_cut(split: str | None) -> Part:
        nonlocal end
        if split is not None:
            return Part(split, 0, available[split])
        end -= size
        return Part("train", end, end + size)

    test_part = published_or_cut(test)
    validation_part = published_or_cut(validation)
    parts = (Part("train", 0, end), validation_part, test_part)
    for purpose, part in zip(("train", "validation", "test"), parts, strict=True):
        if part.examples < 1:
            raise ValueError(
                f"The {purpose} split of {name!r} is empty: {part} of the splits "
                f"{dict(available)}. Check the data, or change `validation_fraction`. Received: "
                f"validation_fraction={validation_fraction!r}."
            )
    return parts
