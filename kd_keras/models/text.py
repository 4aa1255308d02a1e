"""Small teachers and students of texts: ids of words in, logits out; padding never counts."""

from __future__ import annotations

import functools
import re
from typing import Any

import keras

from kd_keras.arguments import check_integer
from kd_keras.models.layers import Kernels, layer_seed
from kd_keras.models.words import IsWord, MeanOfWords, Positions

_FORM = re.compile(
    r"(?:(bag|textcnn|bagcnn|bigru)|transformer([0-9]{1,3})x)([0-9]{1,6})(?:-drop(0\.[0-9]{1,6}))?"
)


def text_network(
    name: str,
    *,
    length: int,
    num_classes: int,
    vocabulary_size: int,
    weight_decay: float = 0.0,
    seed: int | None = None,
) -> keras.Model:
    """Build the network for texts that a short name describes.

    The network takes ids of words, int32 `(batch, length)`, of a `kd_keras.vocabulary.Vocabulary`:
    0 is padding, behind the words. It returns logits. What it says of a text does not depend on how
    much padding is behind it. Taps, by layer name: `words`, the embedding `(batch, length, width)`,
    0 where there is padding; `features`; `logits`; of a transformer `layer1`, `layer2`, ... too.

    | form | example | is |
    |---|---|---|
    | `bag<width>` | `bag32` | the mean of the words' vectors [1] |
    | `textcnn<width>` | `textcnn32` | the largest values of convolutions of 2, 3, 4 words [2] |
    | `bagcnn<width>` | `bagcnn32` | both, and the mean values of the convolutions |
    | `bigru<width>` | `bigru64` | the mean of the states of a GRU in each direction [3] |
    | `transformer<layers>x<width>` | `transformer2x64` | the mean of layers of attention [4] |

    The vectors of the words are as wide as what follows; a transformer has four heads, networks of
    `2 * width` and a normalisation before each. Behind any of them, `-drop0.5` stands for the share
    of the features that is dropped in training, and of the channels of the vectors half of it
    (Srivastava et al., JMLR 2014).

    Args:
        name: One of the forms above.
        length: Ids in each text.
        num_classes: Number of classes, the width of the logits.
        vocabulary_size: How many ids there are, at least 3. An id beyond them is an error on a CPU.
        weight_decay: Decay of the kernels, in [0, 1), as a loss term whose gradient is
            `weight_decay * kernel`; the words' vectors have none.
        seed: Makes the initial weights and the dropout repeatable. None draws new ones.

    Returns:
        A functional `keras.Model` from `ids` to logits of shape (batch, num_classes), named after
        `name`.

    Raises:
        ValueError: If `name` has none of the forms, or an argument is out of its range.
        TypeError: If `name` is not a string, or `seed` not an integer.

    Example:

    ```python
    import kd_keras

    student = kd_keras.models.text_network(
        "bag32", length=48, num_classes=2, vocabulary_size=10_000, seed=1
    )
    student.count_params()  # 10,000 * 32 + 32 * 2 + 2 = 320,066
    ```

    References:
        [1] Iyyer et al., "Deep Unordered Composition Rivals Syntactic Methods for Text
        Classification", ACL 2015, without its layers. [2] Kim, "Convolutional Neural Networks for
        Sentence Classification", EMNLP 2014, arXiv:1408.5882. [3] Cho et al., "Learning Phrase
        Representations using RNN Encoder-Decoder for Statistical Machine Translation", EMNLP 2014,
        arXiv:1406.1078. [4] Vaswani et al., "Attention Is All You Need", NeurIPS 2017,
        arXiv:1706.03762.
    """
    if not isinstance(name, str):
        raise TypeError(f"`name` must be a string such as 'bag32'. Received: name={name!r}.")
    form = _FORM.fullmatch(name)
    if form is None:
        raise ValueError(
            "`name` must be one of the forms bag<width>, textcnn<width>, bagcnn<width>, "
            "bigru<width>, transformer<layers>x<width>, such as 'bag32', 'textcnn32', 'bigru64' or "
            f"'transformer2x64', with -drop<share> behind it or not. Received: name={name!r}."
        )
    kind, layers, width = form[1], form[2], check_integer("width", int(form[3]), 1, 4096)
    length = check_integer("length", length, 1, 2**16)
    num_classes = check_integer("num_classes", num_classes, 2, 2**20)
    vocabulary_size = check_integer("vocabulary_size", vocabulary_size, 3, 2**24)
    dropout = float(form[4] or 0)
    kernels = Kernels.checked(weight_decay, seed)
    parts = _Parts(width, dropout, kernels)

    ids = keras.Input((length,), dtype="int32", name="ids")
    mask = IsWord(name="is_word")(ids)
    x = parts.words(ids, mask, vocabulary_size)
    if kind == "bag":
        x = parts.mean(x, mask)
    elif kind in ("textcnn", "bagcnn"):
        x = parts.convolutions(x, mask, with_means=kind == "bagcnn")
    elif kind == "bigru":
        x = parts.mean(parts.recurrent(x, mask), mask)
    else:
        count = check_integer("layers", int(layers), 1, 128)
        x = parts.mean(parts.transformer(x, mask, count), mask)
    if dropout:
        x = keras.layers.Dropout(dropout, seed=layer_seed(kernels.seed, "drop"), name="drop")(x)
    return keras.Model(ids, kernels.logits(x, num_classes), name=name)


class _Parts:
    """What the networks are made of, under one seed, dropout and weight decay."""

    def __init__(self, width: int, dropout: float, kernels: Kernels):
        self.width = width
        self.dropout = dropout
        self.kernels = kernels
        self.regularizer, self.seed = kernels.regularizer, kernels.seed

    def words(self, ids: Any, mask: Any, vocabulary_size: int) -> Any:
        """Return the vectors of the words, 0 where there is padding."""
        uniform = keras.initializers.RandomUniform(seed=layer_seed(self.seed, "embedding"))
        x = keras.layers.Embedding(
            vocabulary_size, self.width, embeddings_initializer=uniform, name="embedding"
        )(ids)
        x = keras.layers.Multiply(name="words")([x, mask])
        if self.dropout:
            seed = layer_seed(self.seed, "drop_words")
            x = keras.layers.SpatialDropout1D(self.dropout / 2, seed=seed, name="drop_words")(x)
        return x

    def mean(self, x: Any, mask: Any) -> Any:
        return MeanOfWords(name="features")([x, mask])

    def convolutions(self, x: Any, mask: Any, with_means: bool) -> Any:
        """Return the largest value of each channel over the places of the words; means too."""
        found = [MeanOfWords(name="mean")([x, mask])] if with_means else []
        for size in (2, 3, 4):
            name = f"conv{size}"
            conv = {"padding": "same", "activation": "relu", "name": name}
            y = self.kernels.of(keras.layers.Conv1D, self.width, size, **conv)(x)
            if with_means:
                found.append(MeanOfWords(name=f"{name}_mean")([y, mask]))
            # A bias alone can be the largest value in the padding.
            y = keras.layers.Multiply(name=f"{name}_words")([y, mask])
            found.append(keras.layers.GlobalMaxPooling1D(name=f"{name}_max")(y))
        return keras.layers.Concatenate(name="features")(found)

    def recurrent(self, x: Any, mask: Any) -> Any:
        states = []
        is_word = keras.ops.squeeze(mask > 0, axis=-1)
        for name, backwards in (("forward", False), ("backward", True)):
            gru = keras.layers.GRU(
                self.width,
                return_sequences=True,
                go_backwards=backwards,
                kernel_initializer=self._glorot(name),
                recurrent_initializer=keras.initializers.Orthogonal(
                    seed=layer_seed(self.seed, f"{name}_recurrent")
                ),
                kernel_regularizer=self.regularizer,
                name=name,
            )
            y = gru(x, mask=is_word)
            states.append(keras.ops.flip(y, axis=1) if backwards else y)
        return keras.layers.Concatenate(name="states")(states)

    def transformer(self, x: Any, mask: Any, count: int) -> Any:
        normal = keras.initializers.RandomNormal(
            stddev=0.02, seed=layer_seed(self.seed, "positions")
        )
        x = Positions(normal, name="positions")(x)
        seen = keras.ops.transpose(mask > 0, (0, 2, 1))  # by every word, in the whole text
        for index in range(1, count + 1):
            name = f"layer{index}"
            y = keras.layers.LayerNormalization(name=f"{name}_norm1")(x)
            y = keras.layers.MultiHeadAttention(
                4,
                max(1, self.width // 4),
                kernel_initializer=self._glorot(f"{name}_attention"),
                kernel_regularizer=self.regularizer,
                dropout=self.dropout / 2,
                seed=layer_seed(self.seed, f"{name}_attention_drop"),
                name=f"{name}_attention",
            )(y, y, attention_mask=seen)
            x = keras.layers.Add(name=f"{name}_add")([x, y])
            y = keras.layers.LayerNormalization(name=f"{name}_norm2")(x)
            dense = functools.partial(self.kernels.of, keras.layers.Dense)
            y = dense(2 * self.width, activation="relu", name=f"{name}_dense1")(y)
            y = dense(self.width, name=f"{name}_dense2")(y)
            x = keras.layers.Add(name=name)([x, y])
        return keras.layers.LayerNormalization(name="norm")(x)

    def _glorot(self, name: str) -> Any:
        return keras.initializers.GlorotUniform(seed=layer_seed(self.seed, name))
