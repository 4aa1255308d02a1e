"""Read the examples that calibrate and verify a file, and refuse what would silently mislead."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from kd_keras.arguments import check_raw

Specs = Mapping[str, tf.TensorSpec]
Examples = dict[str, np.ndarray]
Range = tuple[float, float] | None

ENOUGH_TO_CALIBRATE = 100
_NARROW = 0.1


def gather(
    data: Any,
    argument: str,
    specs: Specs,
    input_range: Range,
    limit: int,
    *,
    classes: int | None = None,
) -> Examples:
    """Return examples of `data` as one array for each input, of the input's dtype.

    Args:
        data: Array `(examples, ...)`, or a `tf.data.Dataset` of batches x or (x, y, ...). For
            several inputs x is a dict by their names, or a tuple in their order.
        argument: The name of the caller's argument, for the error.
        specs: Shape and dtype of the student's inputs by name.
        input_range: Lowest and highest value that the student's one input takes, or None for any.
        limit: How many examples to take at most.
        classes: Take the examples evenly from this many classes, where `data` yields class labels;
            `None` takes the first ones.

    Returns:
        An array of shape `(examples, ...)` for each input, at most `limit` long.

    Raises:
        TypeError: If `data` is neither an array nor a dataset.
        ValueError: If it is empty, or its shape, dtype or range is not what the student takes.
    """
    chosen = _Chosen(limit, classes)
    for x, y in _batches(data, argument):
        parts = _parts(x, argument, specs)
        for name, spec in specs.items():
            _check_shape(parts[name], argument, spec)
        chosen.add({name: _as_input(parts[name], argument, specs[name]) for name in specs}, y)
        if chosen.full:
            break
    examples = chosen.examples()
    if examples is None:
        shapes = ", ".join(str(tuple(spec.shape)) for spec in specs.values())
        raise ValueError(
            f"`{argument}` holds no examples. Pass at least one batch of images of shape "
            f"{shapes}. Received: {argument}={data!r}"
        )
    for values in examples.values():
        check_raw(argument, values, input_range if len(specs) == 1 else None)
        _warn_if_narrow(values, argument, input_range if len(specs) == 1 else None)
    return examples


class _Chosen:
    """The examples taken so far: the first ones, or evenly those of each class.

    Args:
        limit: How many to keep at most.
        classes: How many classes there are; None for the first examples whatever they are.
    """

    # Data sorted by class make a balanced choice read on; endless ones must not make it for ever.
    _LOOKED_AT = 200

    def __init__(self, limit: int, classes: int | None):
        self._limit = limit
        self._classes = classes
        self._seen = 0
        self._kept: dict[int, list[Examples]] = {}

    def add(self, examples: Examples, labels: np.ndarray | None) -> None:
        count = len(next(iter(examples.values())))
        self._seen += count
        ids = _class_ids(labels, count) if self._classes else None
        for index in range(count):
            # Without labels there is one class, which gets all places.
            kept = self._kept.setdefault(-1 if ids is None else int(ids[index]), [])
            # Twice an even share: other classes may have fewer.
            share = min(self._limit, -(-2 * self._limit // len(self._kept)))
            if not kept:
                for others in self._kept.values():
                    del others[share:]
            if len(kept) < share:
                kept.append({name: values[index].copy() for name, values in examples.items()})

    @property
    def full(self) -> bool:
        if self._seen >= self._limit * self._LOOKED_AT:
            return True
        if -1 in self._kept:
            return len(self._kept[-1]) >= self._limit
        needed = -(-self._limit // (self._classes or 1))
        return len(self._kept) == self._classes and min(map(len, self._kept.values())) >= needed

    def examples(self) -> Examples | None:
        # In turns: the first of each class, the second of each class, and so on.
        queues = [self._kept[label] for label in sorted(self._kept)]
        rounds = max(map(len, queues), default=0)
        order = [queue[turn] for turn in range(rounds) for queue in queues if turn < len(queue)]
        if not order:
            return None
        return {name: np.stack([one[name] for one in order[: self._limit]]) for name in order[0]}


def random_examples(specs: Specs, input_range: Range, count: int) -> Examples:
    """Return seeded uniform inputs, the same on every run, for a student without any data."""
    generator = np.random.default_rng(0)
    examples: Examples = {}
    for name, spec in specs.items():
        shape = tuple(spec.shape[1:])
        if None in shape or not spec.dtype.is_floating or input_range is None:
            raise ValueError(
                "Without `verification_data` the file is verified on random images, which needs a "
                "floating input of known size and range. Pass verification_data=. "
                f"Received: a student with input {tuple(spec.shape)} of dtype {spec.dtype.name}, "
                f"input_range={input_range!r}"
            )
        low, high = input_range
        examples[name] = generator.uniform(low, high, (count, *shape)).astype("float32")
    return examples


def with_ends(examples: Examples, input_range: Range) -> Examples:
    """Return the examples with the ends of the range on two values of the first one.

    The integer scale of the input is then exactly the range's, whatever the examples hold: for
    0..255 a scale of 1, so that a camera's bytes are the file's integers.
    """
    if input_range is None or len(examples) != 1:
        return examples
    ((name, values),) = examples.items()
    if not np.issubdtype(values.dtype, np.floating) or values[0].size < 2:
        return examples
    values = values.copy()
    values[0].reshape(-1)[:2] = input_range
    return {name: values}


def warn_if_few(count: int) -> None:
    """Warn of fewer representative examples than ranges need."""
    if count < ENOUGH_TO_CALIBRATE:
        warnings.warn(
            f"`representative_data` holds {count} examples. Fewer than {ENOUGH_TO_CALIBRATE} "
            "often miss the ranges of the activations, which the file then clips.",
            UserWarning,
            stacklevel=3,
        )


def _batches(data: Any, argument: str) -> Iterator[tuple[Any, np.ndarray | None]]:
    if isinstance(data, (np.ndarray, tf.Tensor, dict)):
        yield data, None
    elif isinstance(data, tf.data.Dataset):
        for element in data:
            labelled = isinstance(element, tuple) and len(element) > 1
            labels = element[1] if labelled else None
            yield (
                element[0] if isinstance(element, tuple) else element,
                labels.numpy() if isinstance(labels, tf.Tensor) else None,
            )
    else:
        raise TypeError(
            f"`{argument}` must be an array of images or a tf.data.Dataset of batches x or (x, y). "
            f"Received: an object of type {type(data).__name__}"
        )


def _parts(x: Any, argument: str, specs: Specs) -> dict[str, np.ndarray]:
    """Return the arrays of one batch by the names of the inputs."""
    if len(specs) == 1 and isinstance(x, (np.ndarray, tf.Tensor)):
        return {name: np.asarray(x) for name in specs}
    if isinstance(x, dict) and set(specs) <= set(x):
        return {name: np.asarray(x[name]) for name in specs}
    if isinstance(x, (tuple, list)) and len(x) == len(specs):
        return {name: np.asarray(value) for name, value in zip(specs, x, strict=True)}
    if len(specs) == 1:
        remedy = "with x one tensor of images"
    else:
        remedy = f"with x a dict of {sorted(specs)}, or a tuple of them in that order"
    raise ValueError(
        f"`{argument}` must yield x or (x, y) {remedy}. Received: elements of type "
        f"{type(x).__name__}" + (f" with keys {sorted(x)}" if isinstance(x, dict) else "")
    )


def _class_ids(labels: np.ndarray | None, count: int) -> np.ndarray | None:
    """Return the labels of a batch as class ids, or None where they are something else."""
    if labels is None or labels.shape[:1] != (count,):
        return None
    if labels.ndim == 2 and labels.shape[1] > 1:
        return labels.argmax(axis=-1)
    if labels.size == count and np.issubdtype(labels.dtype, np.integer):
        return labels.reshape(-1)
    return None


def _check_shape(batch: np.ndarray, argument: str, spec: tf.TensorSpec) -> None:
    expected = tuple(spec.shape)
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


def _warn_if_narrow(examples: np.ndarray, argument: str, input_range: Range) -> None:
    """Warn of data that fill less than a tenth of what the student says that it takes."""
    if input_range is None:
        return
    least, most = float(examples.min()), float(examples.max())
    share = (most - least) / (input_range[1] - input_range[0])
    if share < _NARROW and most > least:
        warnings.warn(
            f"`{argument}` holds values from {least:g} to {most:g}, {100 * share:.2g} % of "
            f"input_range={input_range}. If that is another scale than the student was trained "
            "on, activations are clipped to what these examples reach: pass images as the training "
            f"had them. If the student takes no more than that, say input_range=({least:g}, "
            f"{most:g}).",
            UserWarning,
            stacklevel=4,
        )
