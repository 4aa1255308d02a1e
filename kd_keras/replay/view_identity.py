"""32 bits that tell one recorded view from others: its source image's bytes and its place."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import tensorflow as tf

# The first keys belong to the place of a view, the others to the words of its image.
_PLACE_WORDS = 3
_WORD_BYTES = 4
_STEP_WORD = 2**31


def view_identity(images: Any, step: Any, positions: Any, salt: int) -> tf.Tensor:
    r"""Return a hash of each row's image and place, `(batch,)` int64 in `[0, 2^32)`.

    ```
    h = (salt + sum_i key_i * word_i  mod 2^64) >> 32
    words: low and high half of the step, the position, the image's bytes four by four
    ```

    Two different rows have the same hash with a probability of 2^-32. It is arithmetic on whole
    numbers, so the same on every device.

    Args:
        images: `(batch, ...)` of a fixed shape but for the batch, as they were before augmentation.
        step: The step of training that they belong to, an integer scalar.
        positions: `(batch,)`, their positions in the global batch.
        salt: 64 bits that tell one recording from others.

    Reference: Lemire, Kaser, "Strongly universal string hashing is fast", The Computer Journal
    2014, arXiv:1202.4961.
    """
    words = _words(images)
    keys = _keys(_PLACE_WORDS + words.shape[1])
    step = tf.cast(step, tf.int64)
    place = tf.stack(
        [
            *(
                tf.fill(tf.shape(positions), half)
                for half in (step % _STEP_WORD, step // _STEP_WORD)
            ),
            tf.cast(positions, tf.int64),
        ],
        axis=1,
    )
    total = tf.constant(_signed(salt), tf.int64)
    total += tf.reduce_sum(place * keys[:_PLACE_WORDS], axis=1)
    total += tf.reduce_sum(words * keys[_PLACE_WORDS:], axis=1)
    return tf.bitwise.bitwise_and(
        tf.bitwise.right_shift(total, tf.constant(32, tf.int64)), 2**32 - 1
    )


def _words(images: Any) -> tf.Tensor:
    """Return the bytes of each image, four by four, as signed numbers, `(batch, words)` int64."""
    images = tf.convert_to_tensor(images)
    if images.dtype == tf.bool:
        images = tf.cast(images, tf.uint8)
    batch, size = tf.shape(images)[0], images.dtype.size * math.prod(images.shape[1:])
    raw = tf.reshape(tf.bitcast(images, tf.uint8), [batch, size])
    missing = -size % _WORD_BYTES
    raw = tf.pad(raw, [[0, 0], [0, missing]])
    raw = tf.reshape(raw, [batch, (size + missing) // _WORD_BYTES, _WORD_BYTES])
    return tf.cast(tf.bitcast(raw, tf.int32), tf.int64)


@functools.lru_cache(maxsize=8)
def _keys(count: int) -> Any:
    """Return `count` fixed pseudo-random words of 64 bits: splitmix64, whose stream never moves."""
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))).view(np.int64)


def _signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word
