"""From encoded examples to batches: decode, cache, shuffle by (seed, epoch), batch, prefetch."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import tensorflow as tf

from kd_keras.data.source import Source
from kd_keras.data.splits import Part

# Decoded images up to this size stay in memory after the first pass (CIFAR-10 takes 154 MB).
_CACHED_BYTES = 2**30
# Beyond it, encoded images are shuffled through a window of this many.
_SHUFFLE_WINDOW = 16_384
# Decoded batches that wait for the step take no more than this.
_AHEAD_BYTES = 2**28
_LAST_EPOCH = 2**62


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """How one part of a source becomes batches.

    Attributes:
        source: Where the examples come from.
        part: Which of them.
        batch_size: Examples in a batch.
        cache: Whether decoded images stay in memory; None decides by their size.
    """

    source: Source
    part: Part
    batch_size: int
    cache: bool | None

    def evaluation(self) -> tf.data.Dataset:
        """Return the batches of one pass in a fixed order, the last one possibly smaller."""
        examples = self._examples()
        if not self.is_cached:
            examples = self.decoded(examples)
        batches = examples.batch(self.batch_size).map(self.checked)
        return shared_by_batch(batches.prefetch(tf.data.AUTOTUNE))

    def training(self, seed: int, drop_remainder: bool) -> TrainingBatches:
        """Return the shuffled batches, epoch by epoch."""
        return TrainingBatches(self, self._examples(), seed, drop_remainder)

    def check_first_labels(self, count: int = 1024) -> None:
        """Raise where the first labels are no classes, as in a test set without labels.

        The test split is read last, hours into a run; that it has no labels is better known at
        once.
        """
        if self.source.label_shape:
            return  # Of a map of labels every batch is checked, and a first one costs as much.
        classes = len(self.source.class_names)
        labels = next(iter(self._encoded.map(lambda _, label: label).batch(count))).numpy()
        wrong = labels[(labels < 0) | (labels >= classes)]
        if wrong.size:
            raise ValueError(
                f"{_label_message(self.source.name, self.part, classes)} "
                f"{sorted(set(wrong.tolist()))[:5]}."
            )

    @property
    def is_cached(self) -> bool:
        """Whether decoded images stay in memory after the first pass."""
        if self.cache is not None:
            return self.cache
        return self.part.examples * self._example_bytes <= _CACHED_BYTES

    @property
    def _example_bytes(self) -> int:
        source = self.source
        size = tf.as_dtype(source.input_dtype).size
        labels = tf.int64.size * math.prod(source.label_shape) if source.label_shape else 0
        return size * math.prod(source.input_shape) + labels

    @property
    def shuffle_window(self) -> int:
        """How many examples are shuffled among each other."""
        return self.part.examples if self.is_cached else _SHUFFLE_WINDOW

    @property
    def batches_ahead(self) -> int:
        """How many batches of a stream are made before they are asked for.

        An epoch begins with reading the whole window that is shuffled. As many batches as the
        window holds last for that time, as long as reading keeps up with training at all.
        """
        if self.is_cached:
            return tf.data.AUTOTUNE
        window = math.ceil(min(self.shuffle_window, self.part.examples) / self.batch_size)
        return max(2, min(window, _AHEAD_BYTES // (self.batch_size * self._example_bytes)))

    @functools.cached_property
    def _encoded(self) -> tf.data.Dataset:
        return self.source.encoded(self.part)

    def _examples(self) -> tf.data.Dataset:
        return self.decoded(self._encoded).cache() if self.is_cached else self._encoded

    def decoded(self, encoded: tf.data.Dataset) -> tf.data.Dataset:
        """Return (example, label) for (encoded example, encoded label)."""
        return encoded.map(self.source.decode, num_parallel_calls=tf.data.AUTOTUNE)

    def checked(self, examples: Any, labels: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Stop on a label that is no class; a loss would turn it into NaN or nothing at all."""
        classes = len(self.source.class_names)
        right = (labels >= 0) & (labels < classes)
        if self.source.ignored_label is not None:
            right |= labels == self.source.ignored_label
        tf.debugging.Assert(
            tf.reduce_all(right),
            [_label_message(self.source.name, self.part, classes), labels],
        )
        return examples, labels


class TrainingBatches:
    """Training batches whose order in epoch k is a function of (seed, k) alone."""

    def __init__(
        self, pipeline: Pipeline, examples: tf.data.Dataset, seed: int, drop_remainder: bool
    ) -> None:
        self._pipeline = pipeline
        # One dataset object for all epochs, so that they share one cache.
        self._examples = examples
        self._seed = seed
        self._drop_remainder = drop_remainder
        count, size = pipeline.part.examples, pipeline.batch_size
        self.steps_per_epoch = count // size if drop_remainder else math.ceil(count / size)

    def stream(self, first_epoch: int, first_step: int = 0) -> tf.data.Dataset:
        """Return the endless batches from an epoch and step on; see `Splits.training`."""
        epochs = tf.data.Dataset.range(first_epoch, _LAST_EPOCH)
        batches = epochs.flat_map(
            lambda epoch: self._epoch(epoch, tf.where(epoch == first_epoch, first_step, 0))
        )
        # The range ends in some 10^18 epochs. Keras must know that it is not to wait for that.
        endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
        ready = batches.apply(endless).prefetch(self._pipeline.batches_ahead)
        return shared_by_batch(ready)

    def next_epoch(self) -> tf.data.Dataset:
        """Return a dataset whose j-th iteration gives epoch j; see `Splits.train`."""
        with tf.device("CPU:0"):
            started = tf.Variable(0, dtype=tf.int64, trainable=False, name="epochs_started")
        epoch = tf.data.Dataset.range(1).map(lambda _: started.assign_add(1) - 1)
        finite = tf.data.experimental.assert_cardinality(self.steps_per_epoch)
        batches = epoch.flat_map(self._epoch).apply(finite)
        return shared_by_batch(batches.prefetch(tf.data.AUTOTUNE))

    def _epoch(self, epoch: Any, first_step: Any = 0) -> tf.data.Dataset:
        # Inside a function this sets the seed of its graph alone. It is what makes the order
        # independent of the program's own `tf.random.set_seed`, which `shuffle` would mix in.
        # (Not zero: TensorFlow then asks whether the other seed, a tensor here, is zero too.)
        tf.random.set_seed(1)
        order = tf.random.stateless_uniform(
            (), seed=tf.stack([self._seed, epoch]), minval=None, maxval=None, dtype=tf.int64
        )
        pipeline = self._pipeline
        examples = self._examples.shuffle(
            pipeline.shuffle_window, seed=order, reshuffle_each_iteration=False
        )
        examples = examples.skip(pipeline.batch_size * tf.cast(first_step, tf.int64))
        if not pipeline.is_cached:
            examples = pipeline.decoded(examples)
        batches = examples.batch(pipeline.batch_size, drop_remainder=self._drop_remainder)
        return batches.map(pipeline.checked)


def shared_by_batch(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Let workers of a distribution strategy share each batch, so that it is that of one device.

    By default they would share the files, of which small sets have one.
    """
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return batches.with_options(options)


def _label_message(name: str, part: Part, classes: int) -> str:
    return (
        f"kd_keras: the labels of {part} of {name!r} must be 0..{classes - 1}, one for each of "
        f"{classes} classes. A label of -1 usually marks a split that was published without "
        "labels; use a dataset whose test split has them, or arrange its images in a folder. "
        "Received:"
    )
