"""`Vocabulary`: which words have ids, and how a text becomes them.

Below every room: data make one, networks are as wide as it is, and a file carries it to the phone.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from kd_keras.arguments import check_integer

PADDING, UNKNOWN = 0, 1
# How the ids without a word stand in a list of words, one a line, where the line is the id.
_MARKS = ("[PAD]", "[UNK]")
_LONGEST = 64
# TensorFlow separates by the white space of ASCII, and leaves that of Unicode inside of words.
_WORD = re.compile(r"[^ \t\n\r\f\v]+")
_PUNCTUATION = re.compile(r"""[!"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~']""")


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The words of a training set, commonest first, and the length to which texts are padded.

    A text is put in lower case (A to Z alone), the ASCII punctuation is taken out, and what white
    space separates are its words: `keras.layers.TextVectorization` with its defaults. Id 0 is
    padding, behind the words; 1 is any word that is not known; `words[k]` has id k + 2. What goes
    beyond `length` words is cut off.

    Attributes:
        words: The known words.
        length: Ids in each text, at least 1.

    Example:

    >>> from kd_keras.vocabulary import Vocabulary
    >>> vocabulary = Vocabulary.learn(["A fine film.", "A dull film!"], length=4)
    >>> vocabulary.words
    ('film', 'a', 'fine', 'dull')
    >>> vocabulary.ids(["a Dull, dull day"])
    array([[3, 5, 5, 1]], dtype=int32)
    """

    words: tuple[str, ...]
    length: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", tuple(self.words))
        check_integer("length", self.length, 1, 2**16)
        wrong = [
            word for word in self.words if not isinstance(word, str) or not _WORD.fullmatch(word)
        ]
        if not self.words or wrong or len(set(self.words)) < len(self.words):
            raise ValueError(
                "`words` must be one word or more without white space, each once. Received: "
                f"{len(self.words)} words, of which {wrong[:5] or 'some are there twice'}. Make a "
                "vocabulary with Vocabulary.learn(texts)."
            )

    @classmethod
    def learn(
        cls, texts: Sequence[str], *, size: int = 20_000, length: int | None = None
    ) -> Vocabulary:
        """Return the vocabulary of texts; give it those of the training part alone.

        Args:
            texts: The texts.
            size: How many ids there are at most, the two without a word among them, >= 3.
            length: Ids in each text. None takes the longest text's number of words, up to 64.

        Raises:
            ValueError: If no text has a word, or an argument is out of range.
        """
        size = check_integer("size", size, 3, 2**24)
        layer = _vectorization(max_tokens=size)
        if len(texts):
            layer.adapt(_tensor(texts))
        words = tuple(map(str, layer.get_vocabulary(include_special_tokens=False)))
        if not words:
            raise ValueError(
                f"`texts` must hold words to learn. Received: {len(texts)} texts without any. "
                "Check which column or file the texts are in."
            )
        if length is None:
            length = min(_LONGEST, int(layer(_tensor(texts)).shape[1]))
        return cls(words, length)

    @property
    def size(self) -> int:
        """How many ids there are: one for each word, for padding and for an unknown word."""
        return len(_MARKS) + len(self.words)

    def ids(self, texts: Iterable[str]) -> np.ndarray:
        """Return the ids of texts, int32 `(texts, length)`."""
        texts = list(texts)
        if not texts:
            return np.zeros((0, self.length), "int32")
        return self._layer(_tensor(texts)).numpy().astype("int32")

    @property
    def fingerprint(self) -> str:
        """A digest that other words, another order or another length would change."""
        return hashlib.sha256(f"{self.length}\n{self.lines()}".encode()).hexdigest()[:16]

    def lines(self) -> str:
        """Return one word a line, where line k (from 0) is id k; what a `.tflite` file carries."""
        return "".join(f"{word}\n" for word in (*_MARKS, *self.words))

    @classmethod
    def from_lines(cls, lines: str, length: int) -> Vocabulary:
        """Return the vocabulary that `lines` wrote.

        Raises:
            ValueError: If the lines do not begin with the two ids that have no word.
        """
        words = lines.removesuffix("\n").split("\n")
        if tuple(words[:2]) != _MARKS:
            raise ValueError(
                f"A vocabulary must begin with the lines {_MARKS[0]} and {_MARKS[1]}, for padding "
                f"and unknown words, and go on with a word a line. Received: {words[:2]}."
            )
        return cls(tuple(words[2:]), length)

    @functools.cached_property
    def _layer(self) -> Any:
        return _vectorization(vocabulary=list(self.words), output_sequence_length=self.length)


def split_words(text: str) -> list[str]:
    """Return the words of a text as a `Vocabulary` sees them, without TensorFlow.

    Example:

    >>> from kd_keras.vocabulary import split_words
    >>> split_words("It's a Film.")
    ['its', 'a', 'film']
    """
    lower = re.sub("[A-Z]", lambda found: found[0].lower(), text)
    return _WORD.findall(_PUNCTUATION.sub("", lower))


def _vectorization(**arguments: Any) -> Any:
    import keras

    return keras.layers.TextVectorization(**arguments)


def _tensor(texts: Sequence[str]) -> Any:
    import tensorflow as tf

    return tf.constant(list(texts), tf.string)
