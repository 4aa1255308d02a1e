"""`IdsToText`: ids of a vocabulary as text again, for a network that reads text by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from kd_keras.vocabulary import Vocabulary


@keras.saving.register_keras_serializable(package="kd_keras")
class IdsToText(keras.layers.Layer):
    """Turn ids of a vocabulary into the text that they stand for.

    A teacher of texts often has a tokenizer of its own. In front of it, this gives it the sentence
    that the student sees, whatever an augmentation has made of it:
    `kd_keras.teachers.Frozen(teacher, inputs=kd_keras.models.IdsToText(vocabulary.words))`.

    Words are in lower case and without punctuation, as a `kd_keras.vocabulary.Vocabulary` has them,
    with a blank between; a word that it does not know is `unknown`.

    Args:
        words: The known words: `words[k]` has id k + 2. Id 0 is padding, 1 an unknown word.
        unknown: What stands for a word that is not known.
        **kwargs: Passed on to `keras.layers.Layer`.

    Input: whole numbers `(batch, length)`. Output: strings `(batch,)`.

    Raises:
        ValueError: If `words` are no words, as `Vocabulary`.

    Example:

    >>> import kd_keras, numpy as np
    >>> layer = kd_keras.models.IdsToText(["film", "fine", "a"])
    >>> layer(np.array([[4, 3, 2, 0], [1, 2, 0, 0]])).numpy().tolist()
    [b'a fine film', b'[UNK] film']
    """

    def __init__(self, words: Sequence[str], unknown: str = "[UNK]", **kwargs: Any):
        super().__init__(trainable=False, dtype="int32", **kwargs)
        self.words = Vocabulary(tuple(words), 1).words
        self.unknown = unknown
        self.built = True

    def call(self, ids: Any) -> Any:
        known = tf.constant(["", self.unknown, *self.words])
        texts = tf.strings.reduce_join(tf.gather(known, ids), axis=-1, separator=" ")
        return tf.strings.strip(texts)  # of the blanks of the padding

    def compute_output_spec(self, ids: Any) -> Any:
        return keras.KerasTensor(ids.shape[:-1], dtype="string")

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for name in ("trainable", "dtype"):  # which it says itself
            config.pop(name, None)
        return {**config, "words": list(self.words), "unknown": self.unknown}
