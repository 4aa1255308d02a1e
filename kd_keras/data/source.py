"""Examples and labels as they are stored, and images of a TFDS builder."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from kd_keras.class_names import check_class_names
from kd_keras.data.decoding import decode_jpeg
from kd_keras.data.splits import Part, TaskName, cut


@dataclasses.dataclass(frozen=True)
class Source(abc.ABC):
    """Examples and labels of several splits, still encoded, and how to decode them.

    Attributes:
        name: Name of the dataset, for errors.
    """

    # What is learnt from them, and the label that stands for none, where there is such a one.
    task: ClassVar[TaskName]
    ignored_label: ClassVar[int | None] = None

    name: str

    @property
    @abc.abstractmethod
    def version(self) -> str:
        """Version of the prepared data."""

    @property
    @abc.abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """Name of each class, by label."""

    @property
    @abc.abstractmethod
    def available(self) -> dict[str, int]:
        """How many examples each split has."""

    @property
    @abc.abstractmethod
    def input_shape(self) -> tuple[int, ...]:
        """Shape of every decoded example."""

    @property
    @abc.abstractmethod
    def input_dtype(self) -> str:
        """Dtype of every decoded example."""

    @property
    def label_shape(self) -> tuple[int, ...]:
        """Shape of every decoded label."""
        return ()

    @property
    def details(self) -> Mapping[str, Any]:
        """What else the task needs to know of the data, in forms that JSON has."""
        return {}

    @property
    def folder(self) -> str | None:
        """The folder of files that they are, if they are one."""
        return None

    @abc.abstractmethod
    def encoded(self, part: Part) -> tf.data.Dataset:
        """Return (encoded example, encoded label) in a fixed order."""

    @abc.abstractmethod
    def decode(self, encoded: Any, label: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the example, of `input_shape`, and the label, int64 of `label_shape`."""

    def cut(self, fraction: float) -> Cut:
        """Return what is for training, validation and test.

        Args:
            fraction: Share of `train` that is cut off for each split that is missing.

        Raises:
            ValueError: If there is no `train`, or a part would be empty.
        """
        return Cut(self, *cut(self.name, self.available, fraction))


class Cut(NamedTuple):
    """A source, and which part of it is for what."""

    source: Source
    train: Part
    validation: Part
    test: Part
    rule_ends: str = ""

    @property
    def rule(self) -> str:
        """How it was cut, in words."""
        return (
            f"train: {self.train}, validation: {self.validation}, test: {self.test}{self.rule_ends}"
        )


@dataclasses.dataclass(frozen=True)
class ImageSource(Source):
    """Images and the class of each.

    Attributes:
        image_size: (height, width) to resize to, or None to keep images as they are.
    """

    task = "image"
    image_size: tuple[int, int] | None

    @property
    @abc.abstractmethod
    def stored_shape(self) -> tuple[Any, Any, int]:
        """(height, width, channels) before resizing; None where images differ."""

    @abc.abstractmethod
    def pixels(self, encoded: Any) -> tf.Tensor:
        """Return an encoded image's pixels, uint8, in the size in which it is stored."""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        height, width, channels = self.stored_shape
        return (*(self.image_size or (height, width)), channels)

    def decode(self, encoded: Any, label: Any) -> tuple[tf.Tensor, tf.Tensor]:
        image = self.pixels(encoded)
        if self.image_size is not None:
            resized = tf.image.resize(image, self.image_size, antialias=True)
            image = tf.saturate_cast(tf.round(resized), tf.uint8)
        return tf.ensure_shape(image, self.input_shape), tf.cast(label, tf.int64)

    @property
    def input_dtype(self) -> str:
        return "uint8"


@dataclasses.dataclass(frozen=True)
class AudioSource(Source):
    """Recordings of one length, waveforms in -1..1, and the class of each.

    Attributes:
        sample_rate: Samples in a second.
    """

    task = "audio"
    sample_rate: int

    @property
    @abc.abstractmethod
    def samples(self) -> int:
        """How many samples every recording is brought to."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.samples,)

    @property
    def input_dtype(self) -> str:
        return "float32"

    @property
    def details(self) -> Mapping[str, Any]:
        return {"sample_rate": self.sample_rate}


@dataclasses.dataclass(frozen=True)
class BuilderSource(ImageSource):
    """A prepared builder, and how to get (image, label) out of it.

    Attributes:
        builder: The prepared TFDS builder.
        image_key: Name of its image feature.
        label_key: Name of its class label feature.
    """

    builder: tfds.core.DatasetBuilder
    image_key: str
    label_key: str

    @property
    def version(self) -> str:
        return str(self.builder.version)

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.builder.info.features[self.label_key].names)

    @property
    def stored_shape(self) -> tuple[Any, Any, int]:
        height, width, channels = self.builder.info.features[self.image_key].shape
        return height, width, channels

    @property
    def available(self) -> dict[str, int]:
        return {split: info.num_examples for split, info in self.builder.info.splits.items()}

    def encoded(self, part: Part) -> tf.data.Dataset:
        examples = self.builder.as_dataset(
            split=tfds.core.ReadInstruction(part.split, from_=part.start, to=part.stop, unit="abs"),
            decoders={self.image_key: tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(try_autocache=False, skip_prefetch=True),
        )
        return examples.map(lambda example: (example[self.image_key], example[self.label_key]))

    def pixels(self, encoded: Any) -> tf.Tensor:
        feature = self.builder.info.features[self.image_key]
        channels = feature.shape[-1]
        if channels not in (1, 3):
            return feature.decode_example(encoded)
        return tf.cond(
            tf.io.is_jpeg(encoded),
            lambda: decode_jpeg(encoded, channels),
            lambda: feature.decode_example(encoded),
        )


def image_and_label(
    name: str, builder: tfds.core.DatasetBuilder, image_size: tuple[int, int] | None
) -> tuple[str, str]:
    """Return the keys of a builder's image and label. Its data need not be there yet.

    Raises:
        ValueError: If the builder has no (image, label) pair, or its images have no common size and
            `image_size` is None.
    """
    features = builder.info.features
    keys = builder.info.supervised_keys
    image_key, label_key = keys if keys and len(keys) == 2 else (None, None)
    has_keys = isinstance(image_key, str) and isinstance(label_key, str)
    image, label = (features[image_key], features[label_key]) if has_keys else (None, None)
    if (
        not isinstance(image, tfds.features.Image)
        or not isinstance(label, tfds.features.ClassLabel)
        or np.dtype(image.np_dtype) != np.uint8
    ):
        raise ValueError(
            "`name` must be a dataset of (uint8 image, class label) pairs: its builder's "
            "supervised keys name an `Image` and a `ClassLabel`. Received: "
            f"name={name!r} with supervised_keys={keys!r} and features {features}. Choose another "
            "dataset, or write its images to a folder with train/<class>/ and test/<class>/."
        )
    if None in image.shape[:2] and image_size is None:
        raise ValueError(
            f"The images of {name!r} differ in size, shape {image.shape}, and `image_size` is "
            "None. Pass `image_size=(height, width)` to resize them (--image-size on the command "
            "line)."
        )
    return str(image_key), str(label_key)


def as_source(
    name: str, builder: tfds.core.DatasetBuilder, image_size: tuple[int, int] | None
) -> Source:
    """Return the source behind a builder, or say why it is no image classification set.

    Raises:
        ValueError: As `image_and_label`, and if a class has a name that no label file can hold.
    """
    image_key, label_key = image_and_label(name, builder, image_size)
    check_class_names(
        builder.info.features[label_key].names,
        repr(name),
        "Choose another dataset, or write its images to a folder.",
    )
    return BuilderSource(name, image_size, builder, image_key, label_key)
