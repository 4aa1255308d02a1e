"""Images and labels as a TFDS builder stores them, checked to be an image classification set."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from kd_keras.class_names import check_class_names
from kd_keras.data.splits import Part


@dataclasses.dataclass(frozen=True)
class Source:
    """A prepared builder, and how to get (image, label) out of it.

    Attributes:
        name: Name of the dataset, for errors.
        builder: The prepared TFDS builder.
        image_key: Name of its image feature.
        label_key: Name of its class label feature.
        image_size: (height, width) to resize to, or None to keep images as they are.
    """

    name: str
    builder: tfds.core.DatasetBuilder
    image_key: str
    label_key: str
    image_size: tuple[int, int] | None

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.builder.info.features[self.label_key].names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        height, width, channels = self.builder.info.features[self.image_key].shape
        return (*(self.image_size or (height, width)), channels)

    def encoded(self, part: Part) -> tf.data.Dataset:
        """Return (encoded image, label), scalars of string and int64, in a fixed order."""
        decoders = {self.image_key: tfds.decode.SkipDecoding()}
        if isinstance(self.builder, tfds.folder_dataset.ImageFolder):
            whole = self.builder.as_dataset(split=part.split, decoders=decoders)
            examples = whole.skip(part.start).take(part.examples)
        else:
            examples = self.builder.as_dataset(
                split=tfds.core.ReadInstruction(
                    part.split, from_=part.start, to=part.stop, unit="abs"
                ),
                decoders=decoders,
                read_config=tfds.ReadConfig(try_autocache=False, skip_prefetch=True),
            )
        return examples.map(lambda example: (example[self.image_key], example[self.label_key]))

    def decode(self, encoded: Any, label: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the image, uint8 of `image_shape`, and the label, int64."""
        image = self.builder.info.features[self.image_key].decode_example(encoded)
        if self.image_size is not None:
            resized = tf.image.resize(image, self.image_size, antialias=True)
            image = tf.saturate_cast(tf.round(resized), tf.uint8)
        return tf.ensure_shape(image, self.image_shape), tf.cast(label, tf.int64)


def as_source(
    name: str, builder: tfds.core.DatasetBuilder, image_size: tuple[int, int] | None
) -> Source:
    """Return the source behind a builder, or say why it is no image classification set.

    Raises:
        ValueError: If the builder has no (image, label) pair, a class has a name that no label file
            can hold, or its images have no common size and `image_size` is None.
    """
    features = builder.info.features
    keys = builder.info.supervised_keys
    image_key, label_key = keys if keys and len(keys) == 2 else (None, None)
    image = features[image_key] if isinstance(image_key, str) else None
    label = features[label_key] if isinstance(label_key, str) else None
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
            "None. Pass `image_size=(height, width)` to resize them."
        )
    check_class_names(
        label.names, repr(name), "Choose another dataset, or write its images to a folder."
    )
    return Source(name, builder, str(image_key), str(label_key), image_size)
