"""Training batches in an order that can be had again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

_FORM = (
    "`data` must be what kd_keras.data.load returns, or a finite tf.data.Dataset of (images, "
    "labels) batches whose every iteration is in the same order."
)


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """Batches of (x, y) or (x, y, sample_weight), epoch by epoch.

    Attributes:
        stream: Returns the batches from an epoch on, endlessly.
        spec: Of one batch.
        steps_per_epoch: Batches in an epoch.
        identity: What tells the data from others, as JSON knows it.
        order: What decides their order, `batch_size` among it, as JSON knows it.
    """

    stream: Callable[[int], tf.data.Dataset]
    spec: Any
    steps_per_epoch: int
    identity: Mapping[str, Any]
    order: Mapping[str, Any]

    @property
    def inputs(self) -> dict[str, Any]:
        """Shape and dtype of one image."""
        image = keras.utils.unpack_x_y_sample_weight(self.spec)[0]
        return {"shape": list(image.shape[1:]), "dtype": image.dtype.name}


def as_training_data(data: Any) -> TrainingData:
    """Return the batches behind any accepted form of data.

    Args:
        data: `kd_keras.data.Splits`, or a finite `tf.data.Dataset` in a fixed order.

    Raises:
        ValueError: If it is something else, has no fixed shape, or its length is not known.
    """
    if isinstance(data, tf.data.Dataset):
        found = _of_dataset(data)
    elif hasattr(data, "training") and hasattr(data, "order"):
        spec = data.train.element_spec
        order = dataclasses.asdict(data.order)
        found = TrainingData(data.training, spec, data.steps_per_epoch, data.info.identity(), order)
    else:
        raise ValueError(f"{_FORM} Received: data of type {type(data).__name__}.")
    x = keras.utils.unpack_x_y_sample_weight(found.spec)[0]
    if not isinstance(x, tf.TensorSpec) or x.shape.rank is None or None in x.shape[1:]:
        raise ValueError(f"{_FORM} The images are one tensor of a fixed shape. Received: x of {x}.")
    return found


def _of_dataset(dataset: tf.data.Dataset) -> TrainingData:
    steps = int(dataset.cardinality())
    if steps <= 0:
        remedy = (
            "say how many batches there are: dataset.apply(tf.data.experimental.assert_cardinality"
            "(n))"
            if steps == tf.data.UNKNOWN_CARDINALITY
            else "pass one epoch, without `repeat()`"
        )
        raise ValueError(f"{_FORM} Received: a dataset of {steps} batches; {remedy}.")
    spec = dataset.element_spec
    batches = dataset.repeat()
    identity = {"elements": repr(spec)}
    first = keras.utils.unpack_x_y_sample_weight(next(iter(dataset)))[0]
    order = {"fixed": True, "batch_size": int(keras.tree.flatten(first)[0].shape[0])}
    return TrainingData(lambda first_epoch: batches, spec, steps, identity, order)


class Batches:
    """Batches of any epoch, read in one go where one part of an epoch follows another.

    Args:
        training: The data.
    """

    def __init__(self, training: TrainingData):
        self._training = training
        self._epoch = -1
        self._next = 0
        self._iterator: Iterator[Any] = iter(())

    def of(self, epoch: int, first: int, steps: int) -> Iterator[tuple[int, Any]]:
        """Yield (step of training, batch) of `steps` batches of an epoch, from its `first` on.

        Raises:
            ValueError: If the data have fewer batches than they said.
        """
        length = self._training.steps_per_epoch
        if epoch != self._epoch or first < self._next:
            self._iterator = iter(self._training.stream(epoch).take(length))
            self._epoch, self._next = epoch, 0
        for place in range(self._next, first + steps):
            batch = next(self._iterator, None)
            if batch is None:
                raise ValueError(
                    "`data` ended within an epoch: it must give as many batches each time. "
                    f"Received: {place} of {length} batches."
                )
            self._next = place + 1
            if place >= first:
                yield epoch * length + place, batch
