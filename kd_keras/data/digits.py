"""The embedded dataset: scikit-learn's handwritten digits as a TFDS builder, no network needed."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

_PER_CLASS = 30  # examples of each class in validation, and as many in test
_LARGEST_VALUE = 16

_DESCRIPTION = """1,797 grey 8x8 images of the digits 0 to 9, written by 13 people: the test part
of the UCI set "Optical Recognition of Handwritten Digits", as scikit-learn ships it. The split is
fixed: of each class, 30 images spread evenly over the source are for test, the images two places
after them for validation, and the rest to train on."""

_CITATION = """@misc{alpaydin1998optical,
  title = {Optical Recognition of Handwritten Digits},
  author = {Alpaydin, E. and Kaynak, C.},
  year = {1998},
  howpublished = {UCI Machine Learning Repository},
  doi = {10.24432/C50P49}
}"""


class Digits(tfds.core.GeneratorBasedBuilder):
    """8x8 handwritten digits: 1,197 images to train on, 300 for validation, 300 for test.

    The source holds values 0..16. They are stored as uint8 0..255, each value `v` as
    `v * 255 / 16` rounded half up, so that 0 stays 0, 8 becomes 128 and 16 becomes 255; no two
    values fall together.

    Example:

    ```python
    import kd_keras

    splits = kd_keras.data.load("digits", batch_size=64)
    ```

    Reference:
        Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
        Repository, 1998, doi:10.24432/C50P49.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012 - TFDS's own class attribute

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=_DESCRIPTION,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 1), encoding_format="png"),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://archive.ics.uci.edu/dataset/80",
            citation=_CITATION,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
        del dl_manager  # Nothing is downloaded.
        # scikit-learn is imported here because only the first preparation needs it.
        from sklearn.datasets import load_digits

        source = load_digits()
        images = to_uint8(source.images)[..., np.newaxis]
        labels = source.target.astype(np.int64)
        return {
            split: self._generate_examples(images, labels, indices)
            for split, indices in split_indices(labels).items()
        }

    def _generate_examples(
        self, images: np.ndarray, labels: np.ndarray, indices: list[int]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        for index in indices:
            yield f"{index:04d}", {"image": images[index], "label": int(labels[index])}


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Return values 0..16 as uint8 0..255, `v * 255 / 16` rounded half up in whole numbers."""
    return ((values.astype(np.int64) * 255 + _LARGEST_VALUE // 2) // _LARGEST_VALUE).astype(
        np.uint8
    )


def split_indices(labels: np.ndarray) -> dict[str, list[int]]:
    """Return which examples of the source go to which split: a rule, with no chance in it.

    People wrote the source one after the other, so the picks are spread evenly over each class:
    every split sees every hand. The offset of two keeps validation and test apart, since a class
    has at least 5 * 30 examples.

    Args:
        labels: Class of each example, shape (examples,), in the order of the source.

    Returns:
        Sorted indices for `train`, `validation` and `test`, disjoint and together complete.
    """
    by_class = collections.defaultdict(list)
    for index, label in enumerate(labels.tolist()):
        by_class[label].append(index)
    picked: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for members in by_class.values():
        test = {k * len(members) // _PER_CLASS for k in range(_PER_CLASS)}
        validation = {place + 2 for place in test}
        for place, index in enumerate(members):
            split = "test" if place in test else "validation" if place in validation else "train"
            picked[split].append(index)
    return {split: sorted(indices) for split, indices in picked.items()}
