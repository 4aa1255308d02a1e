"""Augmentation of texts as ids of words: seeded, in the graph, the padding stays behind the words.

Ids are those of a `kd_keras.vocabulary.Vocabulary`: 0 is padding, 1 a word that is not known.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from kd_keras.arguments import check_integer, check_number, check_seed
from kd_keras.augment.contract import Augmentation
from kd_keras.augment.draws import Draws, own_key
from kd_keras.augment.rows import local_rows
from kd_keras.training.batch import Batch
from kd_keras.vocabulary import PADDING, UNKNOWN


class TokenLayer(Augmentation):
    """An augmentation of ids `(batch, length)`; a view is a function of (seed, step, position).

    Args:
        rate: A chance in [0, 1], of what the layer says.
        seed: Seed for use outside of a `TokenPolicy`; inside, the policy's seed rules.
    """

    def __init__(self, rate: float, seed: int = 0):
        self.rate = check_number("rate", rate, low=0, high=1)
        self.seed = check_seed(seed)

    @abc.abstractmethod
    def apply(self, ids: tf.Tensor, draws: Draws) -> tf.Tensor:
        """Return the ids augmented by the numbers of `draws`, in the same shape and dtype."""

    def augment(self, views: Batch, step: Any) -> Batch:
        ids = _checked(views.x, self)
        draws = Draws(own_key(type(self).__name__, self.seed), step, local_rows(ids))
        return views._replace(x=tf.ensure_shape(self.apply(ids, draws), ids.shape))

    def get_config(self) -> dict[str, Any]:
        return {"rate": self.rate, "seed": self.seed}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.rate})"


@keras.saving.register_keras_serializable(package="kd_keras")
class WordDropout(TokenLayer):
    """Leave out each word with chance `rate`; those behind it close up.

    A text of which nothing would be left stays whole.

    Args:
        rate: The chance, in [0, 1].
        seed: Seed for use outside of a `TokenPolicy`.

    Reference:
        Iyyer et al., "Deep Unordered Composition Rivals Syntactic Methods for Text
        Classification", ACL 2015.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import WordDropout
    >>> WordDropout(0.3, seed=1)(tf.constant([[5, 6, 7, 8, 0, 0]]), step=0).shape
    TensorShape([1, 6])
    """

    def __init__(self, rate: float = 0.1, seed: int = 0):
        super().__init__(rate, seed)

    def apply(self, ids: tf.Tensor, draws: Draws) -> tf.Tensor:
        words = ids != PADDING
        kept = words & (draws.uniform(tf.shape(ids)) >= self.rate)
        kept = tf.where(tf.reduce_any(kept, axis=1, keepdims=True), kept, words)
        position = tf.range(tf.shape(ids)[1])[None]
        order = tf.argsort(tf.where(kept, position, position + tf.shape(ids)[1]), axis=1)
        return tf.gather(tf.where(kept, ids, PADDING), order, batch_dims=1)


@keras.saving.register_keras_serializable(package="kd_keras")
class WordMask(TokenLayer):
    """Make each word unknown, id 1, with chance `rate`.

    Args:
        rate: The chance, in [0, 1].
        seed: Seed for use outside of a `TokenPolicy`.

    Reference:
        Masking in Tang et al., "Distilling Task-Specific Knowledge from BERT into Simple Neural
        Networks", 2019, arXiv:1903.12136.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import WordMask
    >>> WordMask(1.0)(tf.constant([[5, 6, 0]]), step=0).numpy()
    array([[1, 1, 0]], dtype=int32)
    """

    def __init__(self, rate: float = 0.1, seed: int = 0):
        super().__init__(rate, seed)

    def apply(self, ids: tf.Tensor, draws: Draws) -> tf.Tensor:
        hidden = (ids != PADDING) & (draws.uniform(tf.shape(ids)) < self.rate)
        return tf.where(hidden, tf.cast(UNKNOWN, ids.dtype), ids)


@keras.saving.register_keras_serializable(package="kd_keras")
class WordReplacement(TokenLayer):
    """Put another word of the vocabulary in the place of each word with chance `rate`.

    Common words are drawn more often than rare ones. Ids are ranks, and the chance of rank k is
    ```
    P(k) = log((k + 2) / (k + 1)) / log(words + 1),   k = 0 .. words - 1
    ```
    about 1 / k, as Zipf's law has it.

    Args:
        vocabulary_size: How many ids there are, >= 3.
        rate: The chance, in [0, 1].
        seed: Seed for use outside of a `TokenPolicy`.

    Reference:
        Unigram noising in Xie et al., "Data Noising as Smoothing in Neural Network Language
        Models", ICLR 2017, arXiv:1703.02573, with Zipf's law for the counts.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import WordReplacement
    >>> views = WordReplacement(10_000, rate=0.5, seed=1)(tf.constant([[5, 6, 7, 0]]), step=0)
    >>> int(views[0, 3])
    0
    """

    def __init__(self, vocabulary_size: int, rate: float = 0.1, seed: int = 0):
        super().__init__(rate, seed)
        self.vocabulary_size = check_integer("vocabulary_size", vocabulary_size, 3)

    def apply(self, ids: tf.Tensor, draws: Draws) -> tf.Tensor:
        replaced = (ids != PADDING) & (draws.uniform(tf.shape(ids)) < self.rate)
        words = self.vocabulary_size - UNKNOWN - 1
        power = tf.exp(draws.uniform(tf.shape(ids)) * tf.math.log(words + 1.0))
        rank = tf.clip_by_value(tf.cast(power, tf.int32) - 1, 0, words - 1)
        return tf.where(replaced, tf.cast(rank + UNKNOWN + 1, ids.dtype), ids)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "vocabulary_size": self.vocabulary_size}


@keras.saving.register_keras_serializable(package="kd_keras")
class SpanSwap(TokenLayer):
    """Let two neighbouring spans of words change places, in a text with chance `rate`.

    Where the spans begin and end is drawn evenly.

    Args:
        rate: The chance, in [0, 1].
        seed: Seed for use outside of a `TokenPolicy`.

    Reference:
        Random swap of words in Wei and Zou, "EDA: Easy Data Augmentation Techniques for Boosting
        Performance on Text Classification Tasks", EMNLP 2019, arXiv:1901.11196, here of spans.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import SpanSwap
    >>> views = SpanSwap(1.0, seed=1)(tf.constant([[5, 6, 7, 8, 0]]), step=0)
    >>> sorted(views.numpy()[0].tolist())
    [0, 5, 6, 7, 8]
    """

    def __init__(self, rate: float = 0.5, seed: int = 0):
        super().__init__(rate, seed)

    def apply(self, ids: tf.Tensor, draws: Draws) -> tf.Tensor:
        rows = tf.shape(ids)[0]
        ends = draws.uniform([rows, 3]) * tf.cast(_count(ids)[:, None] + 1, tf.float32)
        first, middle, last = tf.split(tf.sort(tf.cast(ends, tf.int32), axis=1), 3, axis=1)
        swapped = draws.uniform([rows, 1]) < self.rate
        position = tf.range(tf.shape(ids)[1])[None]
        front, back = middle - first, last - middle
        source = tf.where(position < first + back, position + front, position - back)
        inside = swapped & (position >= first) & (position < last)
        return tf.gather(ids, tf.where(inside, source, position), batch_dims=1)


@keras.saving.register_keras_serializable(package="kd_keras")
class NGram(TokenLayer):
    """Keep one run of words, of a length drawn from 1 to the text's own, with chance `rate`.

    Args:
        rate: The chance, in [0, 1].
        seed: Seed for use outside of a `TokenPolicy`.

    Reference:
        n-gram sampling in Tang et al., "Distilling Task-Specific Knowledge from BERT into Simple
        Neural Networks", 2019, arXiv:1903.12136.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import NGram
    >>> views = NGram(1.0, seed=1)(tf.constant([[5, 6, 7, 8, 0]]), step=0).numpy()[0]
    >>> words = views[views > 0].tolist()
    >>> words == list(range(words[0], words[-1] + 1))
    True
    """

    def __init__(self, rate: float = 0.25, seed: int = 0):
        super().__init__(rate, seed)

    def apply(self, ids: tf.Tensor, draws: Draws) -> tf.Tensor:
        rows, length = tf.unstack(tf.shape(ids))
        count = tf.cast(_count(ids), tf.float32)
        kept = 1.0 + tf.floor(draws.uniform([rows]) * count)
        start = tf.floor(draws.uniform([rows]) * (count - kept + 1.0))
        chosen = draws.uniform([rows]) < self.rate
        start = tf.cast(tf.where(chosen, start, 0.0), tf.int32)[:, None]
        kept = tf.cast(tf.where(chosen, kept, count), tf.int32)[:, None]
        position = tf.range(length)[None]
        source = tf.clip_by_value(position + start, 0, length - 1)
        return tf.where(position < kept, tf.gather(ids, source, batch_dims=1), PADDING)


@keras.saving.register_keras_serializable(package="kd_keras")
class TokenPolicy(Augmentation):
    """Apply token layers to ids so that the same seed and step give the same views.

    A view is a function of (seed, step, position in the global batch) and of the text: the same in
    eager execution and in a graph, on one replica and on several, and after a resume.

    Args:
        layers: Token layers of `kd_keras.augment`, in the order in which they act.
        seed: Any integer.
        name: What reports call it.

    Raises:
        TypeError: If `layers` holds anything else.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import NGram, TokenPolicy, WordDropout
    >>> policy = TokenPolicy([NGram(0.5), WordDropout(0.1)], seed=7)
    >>> ids = tf.constant([[5, 6, 7, 8, 0, 0]])
    >>> bool(tf.reduce_all(policy(ids, step=3) == policy(ids, step=3)))
    True
    """

    def __init__(self, layers: Sequence[TokenLayer], seed: int = 0, name: str = "policy"):
        wrong = [layer for layer in layers if not isinstance(layer, TokenLayer)]
        if wrong:
            raise TypeError(
                "`layers` must hold token layers, such as kd_keras.augment.WordDropout(0.1). "
                f"Received: {wrong[0]!r} of type {type(wrong[0]).__name__}. Pass what is none "
                "beside the policy: augmentation=[policy, function]."
            )
        self.layers = list(layers)
        self.seed = check_seed(seed)
        self.name = name

    def augment(self, views: Batch, step: Any) -> Batch:
        ids = _checked(views.x, self)
        rows, x = local_rows(ids), ids
        for index, layer in enumerate(self.layers):
            x = layer.apply(x, Draws(own_key(self.seed, index), step, rows))
        return views._replace(x=tf.ensure_shape(x, ids.shape))

    def get_config(self) -> dict[str, Any]:
        layers = keras.saving.serialize_keras_object(self.layers)
        return {"layers": layers, "seed": self.seed, "name": self.name}

    def __repr__(self) -> str:
        return f"TokenPolicy({self.layers}, seed={self.seed}, name={self.name!r})"


def _checked(x: Any, asker: Any) -> tf.Tensor:
    ids = tf.convert_to_tensor(x)
    if not ids.dtype.is_integer or len(ids.shape) != 2:
        raise ValueError(
            f"{type(asker).__name__} takes ids of words, whole numbers of shape (batch, length). "
            f"Received: x of dtype {ids.dtype.name} and shape {tuple(ids.shape)}. Make ids of "
            "texts with kd_keras.vocabulary.Vocabulary."
        )
    return ids


def _count(ids: tf.Tensor) -> tf.Tensor:
    """Return how many words each text has, `(batch,)` int32."""
    return tf.reduce_sum(tf.cast(ids != PADDING, tf.int32), axis=1)
