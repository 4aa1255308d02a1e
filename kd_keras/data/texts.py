"""Texts and the class of each: the ids of their words, by a vocabulary of the training part."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from kd_keras.class_names import check_class_names
from kd_keras.data.source import Cut, Source
from kd_keras.data.splits import Part, cut, missing_splits
from kd_keras.data.whole_texts import whole_texts
from kd_keras.vocabulary import Vocabulary, split_words

_READ_AT_ONCE = 4096


class Texts(NamedTuple):
    """The texts of a split and the class of each, `(texts,)` int64."""

    texts: Sequence[str]
    labels: np.ndarray

    def at(self, order: Sequence[int]) -> Texts:
        """Return those at the indices `order`."""
        return Texts([self.texts[index] for index in order], self.labels[list(order)])


@dataclasses.dataclass(frozen=True)
class TextSource(Source):
    """Texts in memory; decoded, they are int32 ids of words.

    Attributes:
        classes: Name of each class, by label.
        splits: The texts of each split.
        data_version: Version of the prepared data, or a digest of them.
        vocabulary: Of the training part; None until it is known which that is, by `cut`.
    """

    task = "text"

    classes: tuple[str, ...]
    splits: Mapping[str, Texts]
    data_version: str
    vocabulary: Vocabulary | None = None

    @property
    def version(self) -> str:
        return self.data_version

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.classes

    @property
    def available(self) -> dict[str, int]:
        return {split: len(found.texts) for split, found in self.splits.items()}

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self._known.length,)

    @property
    def input_dtype(self) -> str:
        return "int32"

    @property
    def details(self) -> Mapping[str, Any]:
        return {"vocabulary": list(self._known.words)}

    @property
    def _known(self) -> Vocabulary:
        if self.vocabulary is None:
            raise RuntimeError("The vocabulary of texts is known after `cut`.")
        return self.vocabulary

    def encoded(self, part: Part) -> tf.data.Dataset:
        found = self.splits[part.split].at(range(part.start, part.stop))
        return tf.data.Dataset.from_tensor_slices((self._known.ids(found.texts), found.labels))

    def decode(self, encoded: Any, label: Any) -> tuple[tf.Tensor, tf.Tensor]:
        return encoded, label

    def cut(self, fraction: float) -> Cut:
        """Return what is for training, validation and test; the vocabulary is of the training part.

        What is cut off from `train` are whole texts, the last that share of them. Texts that are a
        part of one of those are in no split: a network that has seen them knows half the answer.
        """
        source, missing, ends = self, missing_splits(self.splits), ""
        if missing and "train" in self.splits:
            train = self.splits["train"]
            owners = whole_texts([split_words(text) for text in train.texts])
            whole = [index for index, owner in enumerate(owners) if index == owner]
            share = max(1, round(len(whole) * fraction))
            held = whole[max(0, len(whole) - missing * share) :]
            left_out = set(held)
            kept = [index for index, owner in enumerate(owners) if owner not in left_out]
            source = dataclasses.replace(
                self, splits={**self.splits, "train": train.at([*kept, *held])}
            )
            parts = cut(self.name, source.available, fraction, share)
            dropped = len(owners) - len(kept) - len(held)
            ends = ", whole texts"
            ends += f"; {dropped} texts that are a part of those are left out" if dropped else ""
        else:
            parts = cut(self.name, self.available, fraction)
        texts = source.splits["train"].texts[parts[0].start : parts[0].stop]
        return Cut(dataclasses.replace(source, vocabulary=Vocabulary.learn(texts)), *parts, ends)


def text_and_label(name: str, builder: tfds.core.DatasetBuilder) -> tuple[str, str] | None:
    """Return the keys of a builder's text and label, or None where it is none of texts.

    Raises:
        ValueError: If it has several texts, of which none is the one to classify.
    """
    features = builder.info.features
    keys = builder.info.supervised_keys
    if keys and len(keys) == 2 and all(isinstance(key, str) for key in keys):
        text, label = keys
        of_text = isinstance(features[text], tfds.features.Text)
        return keys if of_text and isinstance(features[label], tfds.features.ClassLabel) else None
    if not isinstance(features, tfds.features.FeaturesDict):
        return None
    texts = [key for key, feature in features.items() if isinstance(feature, tfds.features.Text)]
    labels = [k for k, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    if not texts or len(labels) != 1:
        return None
    if len(texts) > 1:
        raise ValueError(
            "`name` must be a dataset with one text for each example. Received: "
            f"name={name!r} with the texts {sorted(texts)}. Write what is to be classified to a "
            "CSV file with the columns text and label, and load that."
        )
    return texts[0], labels[0]


def texts_of(name: str, builder: tfds.core.DatasetBuilder, keys: tuple[str, str]) -> TextSource:
    """Return the texts of a prepared builder.

    A split that was published without labels, all of them -1 as in GLUE, is not there.

    Args:
        name: Name of the dataset, for errors.
        builder: The prepared builder.
        keys: Of text and label, from `text_and_label`.

    Raises:
        ValueError: If a class has a name that no label file can hold.
    """
    text, label = keys
    classes = tuple(builder.info.features[label].names)
    check_class_names(classes, repr(name), "Choose another dataset.")
    splits = {}
    for split in builder.info.splits:
        config = tfds.ReadConfig(try_autocache=False, shuffle_seed=None)
        rows = builder.as_dataset(split=split, read_config=config, batch_size=_READ_AT_ONCE)
        batches = [(row[text], row[label]) for row in tfds.as_numpy(rows)]
        labels = np.concatenate([found for _, found in batches]).astype("int64")
        if (labels != -1).any():
            texts = [each.decode("utf-8", "replace") for found, _ in batches for each in found]
            splits[split] = Texts(texts, labels)
    return TextSource(name, classes, splits, str(builder.version))
