"""A `.tflite` file over a whole split."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import tensorflow as tf

from kd_keras.export.runtime import LiteModel


def predict(
    path: str | os.PathLike[str], dataset: tf.data.Dataset, *, threads: int = 1
) -> tuple[Any, Any]:
    """Run a `.tflite` file over a whole split.

    Args:
        path: The file.
        dataset: A finite `tf.data.Dataset` of batches (x, y) or (x, y, weight), x raw images.
        threads: How many threads the kernels may use.

    Returns:
        `(outputs, labels)`: what `LiteModel.predict` gives for all x, and all y as one array, in
        the dataset's order. `kd_keras.evaluate.accuracy(outputs, labels)` takes them as they are.

    Raises:
        ValueError: If the file is damaged, or the dataset is empty, endless or without labels.

    Example:

    >>> import keras, kd_keras, tensorflow as tf
    >>> student = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),
    ...                             keras.layers.Dense(10)])
    >>> result = kd_keras.export.to_tflite(student, "student.tflite")
    >>> test = tf.data.Dataset.from_tensors((tf.zeros((5, 8, 8, 1), tf.uint8), [0, 0, 0, 3, 4]))
    >>> logits, labels = kd_keras.export.predict("student.tflite", test)
    >>> kd_keras.evaluate.accuracy(logits, labels)
    0.6
    """
    model = LiteModel(path, threads=threads)
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError("`dataset` must end. Received: a repeated dataset; leave `.repeat()` out.")
    outputs: list[dict[str, np.ndarray]] = []
    labels: list[np.ndarray] = []
    for element in dataset:
        if not isinstance(element, tuple) or len(element) < 2:
            raise ValueError(
                "`dataset` must yield (x, y), because accuracy needs labels. "
                f"Received: elements {dataset.element_spec!r}"
            )
        x = element[0]
        images = (
            {name: part.numpy() for name, part in x.items()} if isinstance(x, dict) else x.numpy()
        )
        outputs.append(model.predict_all(images, batch_size=len(element[1])))
        labels.append(element[1].numpy())
    if not outputs:
        raise ValueError(f"`dataset` must hold at least one batch. Received: {dataset!r}")
    whole = {name: np.concatenate([part[name] for part in outputs]) for name in outputs[0]}
    every = np.concatenate(labels)
    return (whole if len(whole) > 1 else next(iter(whole.values()))), every
