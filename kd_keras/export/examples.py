"""Read the examples that calibrate and verify a file, and refuse what would silently mislead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf


def gather(
    data: Any,
    argument: str,
    spec: tf.TensorSpec,
    input_range: tuple[float, float] | None,
    limit: int,
) -> np.ndarray:
    """Return the first examples of `data` as one array of the student's input dtype.

    Args:
        data: Array `(examples, ...)`, or a `tf.data.Dataset` of batches x or (x, y, ...).
        argument: The name of the caller's argument, for the error.
        spec: Shape and dtype of the student's input.
        input_range: Lowest and highest value that the student takes, or None for any.
        limit: How many examples to take at most.

    Returns:
        Array of shape `(examples, ...)`, at most `limit` long.

    Raises:
        TypeError: If `data` is neither an array nor a dataset.
        ValueError: If it is empty, or its shape, dtype or range is not what the student takes.
    """
    taken: list[np.ndarray] = []
    count = 0
    for batch in _batches(data, argument):
        _check_shape(batch, argument, spec)
        taken.append(_as_input(batch[: limit - count], argument, spec))
        count += len(taken[-1])
        if count >= limit:
            break
    if count == 0:
        raise ValueError(
            f"`{argument}` holds no examples. Pass at least one batch of images of shape "
            f"{_shape(spec)}. Received: {argument}={data!r}"
        )
    examples = np.concatenate(taken)
    _check_range(examples, argument, input_range)
    return examples


def random_examples(
    spec: tf.TensorSpec, input_range: tuple[float, float] | None, count: int
) -> np.ndarray:
    """Return seeded uniform inputs, the same on every run, for a student without any data."""
    shape = tuple(spec.shape[1:])
    if None in shape or not spec.dtype.is_floating or input_range is None:
        raise ValueError(
            "Without `verification_data` the file is verified on random images, which needs a "
            "floating input of known size and range. Pass verification_data=. "
            f"Received: a student with input {_shape(spec)} of dtype {spec.dtype.name}, "
            f"input_range={input_range!r}"
        )
    low, high = input_range
    generator = np.random.default_rng(0)
    return generator.uniform(low, high, (count, *shape)).astype("float32")


def _batches(data: Any, argument: str) -> Iterator[np.ndarray]:
    if isinstance(data, (np.ndarray, tf.Tensor)):
        yield np.asarray(data)
    elif isinstance(data, tf.data.Dataset):
        for element in data:
            x = element[0] if isinstance(element, tuple) else element
            if not isinstance(x, tf.Tensor):
                raise ValueError(
                    f"`{argument}` must yield x or (x, y) with x one tensor of images. "
                    f"Received: elements {data.element_spec!r}"
                )
            yield x.numpy()
    else:
        raise TypeError(
            f"`{argument}` must be an array of images or a tf.data.Dataset of batches x or (x, y). "
            f"Received: an object of type {type(data).__name__}"
        )


def _shape(spec: tf.TensorSpec) -> tuple[int | None, ...]:
    return tuple(spec.shape)


def _check_shape(batch: np.ndarray, argument: str, spec: tf.TensorSpec) -> None:
    expected = _shape(spec)
    fits = batch.ndim == len(expected) and all(
        size is None or size == received
        for size, received in zip(expected[1:], batch.shape[1:], strict=True)
    )
    if fits:
        return
    single = tf.TensorShape(batch.shape).is_compatible_with(spec.shape[1:])
    remedy = (
        "It looks like single images: batch them (`dataset.batch(32)`, `images[None]`)."
        if single
        else "Pass images of the size that the student takes."
    )
    raise ValueError(
        f"`{argument}` must hold batches of shape {(None, *expected[1:])}, the student's input. "
        f"{remedy} Received: a batch of shape {batch.shape}"
    )


def _as_input(batch: np.ndarray, argument: str, spec: tf.TensorSpec) -> np.ndarray:
    numeric = np.issubdtype(batch.dtype, np.number) and not np.iscomplexobj(batch)
    whole = np.issubdtype(batch.dtype, np.integer)
    if not numeric or (spec.dtype.is_integer and not whole):
        raise ValueError(
            f"`{argument}` must hold numbers that fit the student's input of dtype "
            f"{spec.dtype.name}. Received: dtype {batch.dtype}"
        )
    return batch.astype(spec.dtype.as_numpy_dtype)


def _check_range(
    examples: np.ndarray, argument: str, input_range: tuple[float, float] | None
) -> None:
    least, most = float(examples.min()), float(examples.max())
    received = f"Received: values from {least:g} to {most:g}"
    if not np.isfinite(least) or not np.isfinite(most):
        raise ValueError(f"`{argument}` must be finite. {received}")
    if input_range is None:
        return
    low, high = input_range
    slack = 1e-3 * (high - low)
    if least < low - slack or most > high + slack:
        raise ValueError(
            f"`{argument}` must be raw inputs in the range {low:g} to {high:g}. If the student "
            f"takes another range, say so with input_range=(low, high). {received}"
        )
    floating = np.issubdtype(examples.dtype, np.floating)
    if floating and high > 1 and least >= 0 and 0 < most <= 1:
        raise ValueError(
            f"`{argument}` looks like images in 0..1, but the student takes {low:g} to {high:g}. "
            "Multiply them by 255, or say input_range=(0, 1) if that is what it takes: with the "
            f"wrong range the integer scales are wrong. {received}"
        )
