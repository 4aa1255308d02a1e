"""Layers of networks that read ids of words: what is padding, where a word stands, a mean of words.

Masks are tensors of the network, and not what Keras carries behind its layers, so that a
`.tflite` file has them too.
"""

from __future__ import annotations

from typing import Any

import keras

from kd_keras.vocabulary import PADDING


@keras.saving.register_keras_serializable(package="kd_keras")
class IsWord(keras.layers.Layer):
    """Return 1.0 where an id is a word and 0.0 where it is padding: `(batch, length, 1)` float32.

    Example:

    >>> import numpy as np
    >>> from kd_keras.models.words import IsWord
    >>> IsWord()(np.array([[7, 1, 0]]))[0, :, 0].numpy()
    array([1., 1., 0.], dtype=float32)
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.autocast = False  # ids above 256 are no whole numbers in bfloat16

    def call(self, ids: Any) -> Any:
        """Return the mask of `ids`, whole numbers `(batch, length)`."""
        return keras.ops.cast(keras.ops.not_equal(ids, PADDING), "float32")[..., None]

    def compute_output_spec(self, ids: Any) -> Any:
        """Return the mask's shape and dtype."""
        return keras.KerasTensor((*ids.shape, 1), "float32")


@keras.saving.register_keras_serializable(package="kd_keras")
class MeanOfWords(keras.layers.Layer):
    """Return the mean over the words of a text, `(batch, channels)`; 0 for a text without any.

    Example:

    >>> import numpy as np
    >>> from kd_keras.models.words import MeanOfWords
    >>> x, mask = np.array([[[2.0], [4.0], [9.0]]]), np.array([[[1.0], [1.0], [0.0]]])
    >>> MeanOfWords()([x, mask]).numpy()
    array([[3.]], dtype=float32)
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True  # a recurrent layer sends one along; it ends here

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Return None: there is one vector for each text."""

    def call(self, inputs: Any) -> Any:
        """Return the mean of x `(batch, length, channels)` where the mask is 1."""
        x, mask = inputs
        count = keras.ops.maximum(keras.ops.sum(mask, axis=1, keepdims=True), 1.0)
        shares = keras.ops.transpose(mask / count, (0, 2, 1))
        # As a product of matrices: a sum of many words would need a wide range of integers.
        return keras.ops.squeeze(keras.ops.matmul(shares, x), axis=1)


@keras.saving.register_keras_serializable(package="kd_keras")
class Positions(keras.layers.Layer):
    """Add to each place of a text a vector of its own, which is learnt.

    Args:
        initializer: Of the vectors.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, initializer: Any = "random_normal", **kwargs: Any):
        super().__init__(**kwargs)
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape: Any) -> None:
        self.vectors = self.add_weight(
            shape=tuple(input_shape[1:]), initializer=self.initializer, name="vectors"
        )

    def call(self, x: Any) -> Any:
        """Return x `(batch, length, channels)` with the vectors added."""
        return x + self.vectors

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "initializer": keras.initializers.serialize(self.initializer),
        }
