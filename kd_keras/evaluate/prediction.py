"""Run a Keras model over a whole split.

TensorFlow is imported when it is needed: a saved report is read and shown without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from kd_keras import memory_errors
from kd_keras.arguments import refuse_complex

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def predict_logits(
    model: keras.Model,
    dataset: tf.data.Dataset,
    progress: Callable[[int], None] | None = None,
    change: Callable[[Any, Any], Any] | None = None,
) -> tuple[Any, Any]:
    """Return a model's outputs and the labels of a split, in one pass and in the same order.

    `model.predict` drops the labels, and a second pass over a shuffled dataset has another order.

    Args:
        model: A Keras model; it is called with `training=False`, so nothing of it moves.
        dataset: A finite `tf.data.Dataset` of batches (x, y) or (x, y, weight). uint8 images are
            cast to float32 unless the model itself takes integers.
        progress: Called after every batch with the number of examples done.
        change: A function of (x, y) that gives the images to look at instead of x: an attack, a
            corruption, a shift. It is compiled together with the model.

    Returns:
        `(outputs, labels)` as float32 and label arrays `(examples, ...)`. A model with a dict or
        list of outputs gives a dict or list of arrays; so do labels.

    Raises:
        TypeError: If `dataset` is no `tf.data.Dataset`.
        ValueError: If it is empty, endless, or without labels.

    Example:

    >>> import keras, kd_keras, tensorflow as tf
    >>> student = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),
    ...                             keras.layers.Dense(10)])
    >>> test = tf.data.Dataset.from_tensors((tf.zeros((5, 8, 8, 1), tf.uint8), [0, 0, 0, 3, 4]))
    >>> logits, labels = kd_keras.evaluate.predict_logits(student, test)
    >>> logits.shape, labels.shape
    ((5, 10), (5,))
    >>> kd_keras.evaluate.accuracy(logits, labels)
    0.6
    """
    import keras
    import tensorflow as tf

    check_dataset(dataset)
    takes_integers = any(
        tf.as_dtype(tensor.dtype).is_integer for tensor in getattr(model, "inputs", None) or []
    )

    @tf.function(reduce_retracing=True)
    def outputs_of(x: Any, y: Any) -> Any:
        refuse_complex("x", keras.tree.flatten(x), model)
        if change is not None:
            x = change(x, y)
        # A convolution on uint8 fails, and Keras casts for functional models alone.
        if isinstance(x, tf.Tensor) and x.dtype == tf.uint8 and not takes_integers:
            x = tf.cast(x, tf.float32)
        outputs = model(x, training=False)
        return keras.tree.map_structure(lambda tensor: tf.cast(tensor, tf.float32), outputs)

    def arrays(tensors: Any) -> Any:
        return keras.tree.map_structure(lambda tensor: tensor.numpy(), tensors)

    outputs: list[Any] = []
    labels: list[Any] = []
    done = 0
    asked = memory_errors.batches_of(dataset)
    for x, y, *_ in dataset:
        with memory_errors.told(asked):
            outputs.append(arrays(outputs_of(x, y)))
        labels.append(arrays(y))
        done += len(keras.tree.flatten(outputs[-1])[0])
        if progress is not None:
            progress(done)
    if not outputs:
        raise ValueError(f"`dataset` must hold at least one batch. Received: {dataset!r}")

    def joined(parts: list[Any]) -> Any:
        return keras.tree.map_structure(lambda *values: np.concatenate(values), *parts)

    return joined(outputs), joined(labels)


def check_dataset(dataset: Any) -> None:
    """Raise unless `dataset` is a finite dataset of (x, y)."""
    import tensorflow as tf

    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(
            "`dataset` must be a tf.data.Dataset of batches (x, y). "
            f"Received: an object of type {type(dataset).__name__}"
        )
    if not isinstance(dataset.element_spec, tuple) or len(dataset.element_spec) < 2:
        raise ValueError(
            "`dataset` must yield (x, y), because a measure needs labels. "
            f"Received: elements {dataset.element_spec!r}"
        )
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError("`dataset` must end. Received: a repeated dataset; leave `.repeat()` out.")
