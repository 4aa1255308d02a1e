"""Set the ranges of a quantisation-aware model from images, before it is trained."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kd_keras.arguments import check_raw
from kd_keras.compat.model import flat_layers
from kd_keras.compat.structure import producer
from kd_keras.quantize.layers import ROUNDING, FakeQuantize
from kd_keras.quantize.rounding import LEAST_WIDTH

_BATCH_SIZE = 100


@contextlib.contextmanager
def in_float(model: keras.Model) -> Iterator[None]:
    """Let a quantisation-aware model calculate without rounding, until the block ends.

    The block must call the model eagerly: a function that was traced before keeps its rounding. The
    extremes that pass through the `FakeQuantize` layers in the block are their ranges afterwards,
    save for those that are known.
    """
    every = flat_layers(model)
    ranges = [layer for layer in every if isinstance(layer, FakeQuantize)]
    kernels = [layer for layer in every if isinstance(layer, ROUNDING)]
    for layer in ranges:
        layer.start_calibration()
    for layer in kernels:
        layer.rounds = False
    try:
        yield
    finally:
        for layer in ranges:
            layer.end_calibration()
        for layer in kernels:
            layer.rounds = True


def calibrate(
    model: keras.Model, data: Any, examples: int, input_range: tuple[float, float] | None
) -> None:
    """Set the ranges to the extremes that the unrounded model has on the first examples of `data`.

    Raises:
        TypeError: If `data` is neither an array nor a dataset.
        ValueError: If it is empty, or of another shape or range than the model takes.
    """
    count = 0
    with in_float(model):
        for batch in _of_size(_batches(data), model.inputs[0].shape[0]):
            if model.inputs[0].shape[0] is None:
                batch = keras.tree.map_structure(lambda x, left=examples - count: x[:left], batch)
            _check(batch, model, input_range)
            model(batch, training=False)
            count += len(keras.tree.flatten(batch)[0])
            if count >= examples:
                break
    if count == 0:
        raise ValueError(
            "`representative_data` holds no examples. Pass a few hundred unaugmented training "
            f"images. Received: representative_data={data!r}"
        )
    _refuse_narrow_outputs(model)


def _refuse_narrow_outputs(model: keras.Model) -> None:
    """Raise where an output spans less than the least range, of which it would get few levels."""
    for tensor in model.outputs:
        layer = producer(tensor)
        width = layer.seen_width if isinstance(layer, FakeQuantize) else None
        if width is not None and 0 < width < LEAST_WIDTH:
            raise ValueError(
                f"The output {layer.name!r} of `student` spans {width:.3g} on the representative "
                f"data, and int8 ranges are at least {LEAST_WIDTH:g} wide: it would have "
                f"{int(256 * width / LEAST_WIDTH)} of 256 levels. Multiply the weights and the "
                "bias of the last layer, say by 1000, and divide in the app; of logits a larger "
                "scale is a lower temperature. "
                f"Received: student={model.name!r}"
            )


def _of_size(batches: Iterator[Any], size: int | None) -> Iterator[Any]:
    """Yield the batches in pieces of the size that a model fixes; what is left of each is not used.

    A batch that is too small comes as it is, and is refused where shapes are checked.
    """
    for batch in batches:
        length = len(keras.tree.flatten(batch)[0])
        if size is None or length < size:
            yield batch
            continue
        for start in range(0, length - size + 1, size):
            yield keras.tree.map_structure(lambda x, i=start: x[i : i + size], batch)


def _batches(data: Any) -> Iterator[Any]:
    if isinstance(data, tf.data.Dataset):
        for element in data:
            yield element[0] if isinstance(element, tuple) else element
    elif keras.tree.flatten(data) and all(
        isinstance(array, (np.ndarray, tf.Tensor)) and len(array.shape)
        for array in keras.tree.flatten(data)
    ):
        for start in range(0, len(keras.tree.flatten(data)[0]), _BATCH_SIZE):
            yield keras.tree.map_structure(lambda x, i=start: x[i : i + _BATCH_SIZE], data)
    else:
        raise TypeError(
            "`representative_data` must be an array of images (or a structure of them, as the "
            "student takes it) or a tf.data.Dataset of batches x or (x, y). "
            f"Received: an object of type {type(data).__name__}"
        )


def _check(batch: Any, model: keras.Model, input_range: tuple[float, float] | None) -> None:
    arrays = [np.asarray(array) for array in keras.tree.flatten(batch)]
    expected = [tuple(tensor.shape) for tensor in model.inputs]
    if len(arrays) != len(expected) or not all(
        tf.TensorShape(array.shape).is_compatible_with(shape)
        for array, shape in zip(arrays, expected, strict=True)
    ):
        raise ValueError(
            f"`representative_data` must hold batches of the shapes {expected}, the student's "
            f"inputs. Received: a batch of the shapes {[array.shape for array in arrays]}"
        )
    for array, tensor in zip(arrays, model.inputs, strict=True):
        # Ids and other whole numbers go in as they are.
        is_float = keras.backend.is_float_dtype(tensor.dtype)
        check_raw("representative_data", array, input_range if is_float else None)
