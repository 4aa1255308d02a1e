"""Whatever gives logits for images, as a function from one NumPy batch to another.

TensorFlow is imported when it is needed: a saved report is read and shown without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

# Pixels and channels in a batch: many small images at a time, or few photographs.
_VALUES = 2**21
Predict = Callable[[np.ndarray], np.ndarray]


def as_predict(model: keras.Model | Callable[[Any], Any], name: str) -> Predict:
    """Return a function from images `(batch, ...)` to logits `(batch, ..., classes)`.

    Args:
        model: A Keras model, which is compiled once and called with `training=False`, or any
            function from images to logits, such as `LiteModel.predict`.
        name: What an error calls it.

    Raises:
        TypeError: If it is neither; by the function, if it gives more than one output.
    """
    if not callable(model):
        raise TypeError(
            f"`models` must hold Keras models and functions from images to logits. Received: "
            f"{name!r} of type {type(model).__name__}"
        )
    function = _compiled(model) if is_keras(model) else model

    def predict(images: np.ndarray) -> np.ndarray:
        outputs = function(images)
        if isinstance(outputs, (dict, list, tuple)):
            raise TypeError(
                f"An examination needs one array of logits. Received: from {name!r} outputs of "
                f"type {type(outputs).__name__}. Pass a function that picks the logits."
            )
        return np.asarray(outputs)

    return predict


def is_keras(model: Any) -> bool:
    """Return whether gradients of `model` can be taken: whether it is a layer of Keras."""
    import keras

    return isinstance(model, keras.layers.Layer)


def in_batches(function: Callable[[Any], Any], images: np.ndarray) -> np.ndarray:
    """Return what `function` gives for all images, called on some of them at a time."""
    size = int(np.clip(_VALUES // images[0].size, 25, 500))
    return np.concatenate([np.asarray(function(batch)) for batch in batches(images, size)])


def batches(values: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yield the values, `size` of them at a time."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _compiled(model: Any) -> Callable[[Any], Any]:
    import keras
    import tensorflow as tf

    takes_integers = any(
        tf.as_dtype(tensor.dtype).is_integer for tensor in getattr(model, "inputs", None) or []
    )

    @tf.function(reduce_retracing=True)
    def forward(images: Any) -> Any:
        # A convolution on uint8 fails, and Keras casts for functional models alone.
        if images.dtype == tf.uint8 and not takes_integers:
            images = tf.cast(images, tf.float32)
        outputs = model(images, training=False)
        return keras.tree.map_structure(lambda tensor: tf.cast(tensor, tf.float32), outputs)

    return lambda images: forward(tf.convert_to_tensor(images))
