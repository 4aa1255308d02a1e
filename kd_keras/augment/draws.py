"""Random numbers as a function of (seed, step, position in the global batch)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from kd_keras.augment.rows import Rows

# Laps of a loop are told apart by multiples of an odd number, which never meet in 64 bits.
_LAP = 0x1E3779B97F4A7C15
# Steps and positions share one seed word where images are drawn for one at a time.
_STEPS_PER_POSITION = 2**40

_scope = threading.local()


class Draws:
    """The random numbers of one layer in one step, for the rows of one batch.

    The n-th draw of a batch is the n-th call. TensorFlow's stateless generators are counters, so a
    longer draw begins with the values of a shorter one: a replica draws up to its last position and
    takes its own rows, and no example's numbers depend on how the batch is divided.

    Args:
        key: What tells this layer from others: the seed, then its place in the policy.
        step: Count of the steps so far, an integer or an integer scalar tensor.
        rows: Positions of the examples in the global batch.
        position: Position of the one example at hand, where a layer takes images one by one.
        lap: Which lap of a loop in the graph this is, an integer scalar tensor.
    """

    def __init__(
        self, key: tuple[Any, ...], step: Any, rows: Rows, position: Any = None, lap: Any = None
    ):
        self.key = key
        self.step = tf.cast(step, tf.int64)
        self.rows = rows
        self._position = position
        self._lap = lap
        self._count = 0

    def child(self, index: int, rows: Rows | None = None) -> Draws:
        """Return independent draws, for the `index`-th part of a composed layer."""
        rows = self.rows if rows is None else rows
        return Draws((*self.key, index), self.step, rows, lap=self._lap)

    def on(self, rows: Rows) -> Draws:
        """Return these draws from their beginning, for other rows."""
        return Draws(self.key, self.step, rows, lap=self._lap)

    def lap(self, number: tf.Tensor) -> Draws:
        """Return independent draws for one lap of a loop that is traced once."""
        return Draws(self.key, self.step, self.rows, lap=number)

    def one_by_one(self) -> Callable[[tf.Tensor], Draws]:
        """Return what gives the draws of the single example at a position.

        Shapes drawn there have no batch axis. The loop over the examples is one draw here, however
        often eager execution calls its body.
        """
        key = (*self.key, "one", self._count)
        self._count += 1
        return lambda position: Draws(key, self.step, self.rows, position, self._lap)

    def uniform(
        self, shape: Any, minval: Any = 0, maxval: Any = 1, dtype: Any = tf.float32
    ) -> tf.Tensor:
        """Return values in `[minval, maxval)`; the first axis of `shape` is the batch."""
        dtype = tf.as_dtype(dtype)
        unit = self._draw(tf.random.stateless_uniform, shape)
        low, high = tf.cast(minval, tf.float32), tf.cast(maxval, tf.float32)
        values = low + unit * (high - low)
        if dtype.is_integer:
            values = tf.minimum(tf.floor(values), high - 1.0)
        return unfolded(tf.cast(values, dtype))

    def normal(
        self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = tf.float32
    ) -> tf.Tensor:
        """Return normal values; the first axis of `shape` is the batch."""
        values = self._draw(tf.random.stateless_normal, shape)
        return unfolded(tf.cast(mean + stddev * values, dtype))

    def truncated_normal(
        self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = tf.float32
    ) -> tf.Tensor:
        """Return normal values within two standard deviations; the first axis is the batch."""
        values = self._draw(tf.random.stateless_truncated_normal, shape)
        return unfolded(tf.cast(mean + stddev * values, dtype))

    def beta(self, shape: Any, alpha: float) -> tf.Tensor:
        """Return values of Beta(alpha, alpha); the first axis of `shape` is the batch."""
        logarithms = [self._log_gamma(shape, alpha) for _ in range(2)]
        return unfolded(tf.sigmoid(logarithms[0] - logarithms[1]))

    def dirichlet(self, shape: Any, alpha: float) -> tf.Tensor:
        """Return shares that sum to 1 along the last axis, of Dirichlet(alpha, ..., alpha)."""
        return unfolded(tf.nn.softmax(self._log_gamma(shape, alpha), axis=-1))

    def _log_gamma(self, shape: Any, alpha: float) -> tf.Tensor:
        """Return logarithms of values of Gamma(alpha).

        G_a / (G_a + G_b) with gamma variables underflows to 0 / 0 for small alpha. Their logarithms
        do not: log Gamma(alpha) is distributed as log Gamma(alpha + 1) + log(U) / alpha.
        """
        gamma = self._draw(
            lambda shape, seed: tf.random.stateless_gamma(shape, seed, alpha=alpha + 1.0),
            shape,
        )
        unit = tf.maximum(self.uniform(shape), 1e-12)
        # Times the inverse, as a graph's optimiser would write the division.
        return tf.math.log(gamma) + tf.math.log(unit) * (1.0 / alpha)

    def _draw(self, sampler: Any, shape: Any) -> tf.Tensor:
        dimensions = _dimensions(shape)
        seed = self._next_seed()
        whole = tf.stack(dimensions) if dimensions else tf.constant([], tf.int32)
        if self._position is not None or not dimensions:
            return sampler(whole, seed=seed)
        values = sampler(tf.stack([self.rows.extent, *dimensions[1:]]), seed=seed)
        if not self.rows.leading:
            values = tf.gather(values, self.rows.index)
        # Also the check that the first axis asked for is the batch: other counts cannot be shaped.
        return tf.reshape(values, whole)

    def _next_seed(self) -> tf.Tensor:
        text = repr((*self.key, self._count)).encode()
        self._count += 1
        word = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little", signed=True)
        first = tf.constant(word, tf.int64)
        if self._lap is not None:
            first += tf.cast(self._lap + 1, tf.int64) * _LAP
        second = self.step
        if self._position is not None:
            second += tf.cast(self._position + 1, tf.int64) * _STEPS_PER_POSITION
        return tf.stack([first, second])


def own_key(*key: Any) -> tuple[Any, ...]:
    """Return `key`, told from that of the same augmentation at another place of a list."""
    place = getattr(_scope, "place", 0)
    return (*key, "place", place) if place else key


@contextmanager
def at_place(place: int) -> Iterator[None]:
    """Let the augmentation called inside draw as the one at `place` of a list.

    Two policies with one seed would otherwise draw the same numbers. The first keeps the key that
    it has alone, so that its views are the same in a list. Held per thread, as `drawing_from`.
    """
    outer = getattr(_scope, "place", 0)
    _scope.place = place
    try:
        yield
    finally:
        _scope.place = outer


def active_draws() -> Draws | None:
    """Return the draws that layers called in this thread take now, or `None`."""
    return getattr(_scope, "draws", None)


@contextmanager
def drawing_from(draws: Draws | None) -> Iterator[None]:
    """Let the layers called inside take their random numbers from `draws`.

    Held per thread: each replica of a `MirroredStrategy` runs in a thread of its own.
    """
    outer = active_draws()
    _scope.draws = draws
    try:
        yield
    finally:
        _scope.draws = outer


def unfolded(values: tf.Tensor) -> tf.Tensor:
    """Return `values` behind a wall for the graph's optimiser.

    Constant folding turns (x * a) * b into x * (a * b), which differs in the last bit from what
    eager execution computes. It does not look through this operation, which does nothing.
    """
    return tf.ensure_shape(values, values.shape)


def with_hidden_shape(images: tf.Tensor, step: Any) -> tf.Tensor:
    """Return `images` with a shape that the graph's optimiser cannot know, for the same reason.

    Where it knows height and width it folds them into the arithmetic of a rotation. Tracing still
    sees all but the batch size.
    """
    if tf.executing_eagerly():
        return images
    zero = tf.cast(tf.minimum(tf.abs(tf.cast(step, tf.int64)), 0), tf.int32)
    hidden = tf.reshape(images, tf.shape(images) + zero)
    hidden.set_shape([None, *images.shape[1:]])
    return hidden


def _dimensions(shape: Any) -> list[tf.Tensor]:
    if isinstance(shape, tf.Tensor):
        return tf.unstack(tf.cast(shape, tf.int32))
    return [tf.cast(dimension, tf.int32) for dimension in shape]
