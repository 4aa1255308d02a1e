"""`blobs`: generated images with a class for every pixel, for tests and smoke runs."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
import tensorflow as tf

from kd_keras.data.dense import DenseSource
from kd_keras.data.splits import Part

_EXAMPLES = {"train": 192, "validation": 32, "test": 32}
_SIZE = 32
_DISC, _SQUARE = 1, 2


@dataclasses.dataclass(frozen=True)
class BlobsSource(DenseSource):
    """Bright discs and squares on a dark, noisy ground; example i is a function of i alone."""

    @property
    def version(self) -> str:
        return "1.0.0"

    @property
    def class_names(self) -> tuple[str, ...]:
        return ("ground", "disc", "square")

    @property
    def available(self) -> dict[str, int]:
        return dict(_EXAMPLES)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return (_SIZE, _SIZE, 1)

    def encoded(self, part: Part) -> tf.data.Dataset:
        images, maps = _drawn(part.split)
        chosen = slice(part.start, part.stop)
        return tf.data.Dataset.from_tensor_slices((images[chosen], maps[chosen]))

    def decode(self, encoded: Any, label: Any) -> tuple[tf.Tensor, tf.Tensor]:
        return encoded, tf.cast(label, tf.int64)


@functools.cache
def _drawn(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return all images of a split, uint8, and their label maps, uint8."""
    rows, columns = np.mgrid[:_SIZE, :_SIZE]
    images, maps = [], []
    for index in range(_EXAMPLES[split]):
        random = np.random.default_rng((list(_EXAMPLES).index(split), index))
        image = random.normal(70, 25, (_SIZE, _SIZE))
        found = np.zeros((_SIZE, _SIZE), "uint8")
        for kind in random.integers(_DISC, _SQUARE + 1, random.integers(1, 4)):
            radius = random.integers(4, 8)
            row, column = random.integers(radius, _SIZE - radius, 2)
            away = np.abs(rows - row), np.abs(columns - column)
            inside = np.hypot(*away) <= radius if kind == _DISC else np.maximum(*away) <= radius - 1
            image[inside] += random.uniform(40, 90)
            found[inside] = kind
        images.append(np.clip(image, 0, 255).astype("uint8")[..., None])
        maps.append(found)
    return np.stack(images), np.stack(maps)
