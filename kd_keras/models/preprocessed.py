"""`Preprocessed`: what a network does to its data in `fit` and `predict`, as a layer in front."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf


@keras.saving.register_keras_serializable(package="kd_keras")
class Preprocessed(keras.layers.Layer):
    """Run the preprocessor of a KerasHub task inside of a network.

    A task such as `BertTextClassifier` preprocesses in `fit` and `predict`, and not when it is
    called. With this in front, the whole is one network from the raw data on:
    `task(Preprocessed(task.preprocessor)(inputs))`. Its `.keras` file holds the vocabulary too.

    Args:
        preprocessor: The layer, as `task.preprocessor`. It returns a tensor or a dict of tensors.
        made: Shape (without the batch) and dtype of each tensor that it returns, by its name; of
            a single one by "". None finds out when it is first called.
        **kwargs: Passed on to `keras.layers.Layer`.

    Input: a batch of what the preprocessor takes. Output: what it makes of it.
    """

    def __init__(self, preprocessor: Any, made: dict[str, Any] | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.trainable = False
        self.preprocessor = preprocessor
        # Not found out anew when a file is read: the vocabulary comes after the graph then.
        self.made = made
        self.built = True

    # Converters of images have `training=True`, which Keras would hand on to the whole network
    # where nothing else is said.
    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.preprocessor(inputs)

    def compute_output_spec(self, inputs: Any, training: bool = False) -> Any:
        if self.made is None:
            made = self.preprocessor(_example(inputs))
            named = made if isinstance(made, dict) else {"": made}
            self.made = {
                name: [list(tensor.shape[1:]), keras.backend.standardize_dtype(tensor.dtype)]
                for name, tensor in named.items()
            }
        tensors = {
            name: keras.KerasTensor((inputs.shape[0], *shape), dtype)
            for name, (shape, dtype) in self.made.items()
        }
        return tensors.get("", tensors)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("trainable", None)
        preprocessor = keras.saving.serialize_keras_object(self.preprocessor)
        return {**config, "preprocessor": preprocessor, "made": self.made}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Preprocessed:
        preprocessor = keras.saving.deserialize_keras_object(config["preprocessor"])
        return cls(**{**config, "preprocessor": preprocessor})


def _example(inputs: Any) -> Any:
    shape = [side or 1 for side in inputs.shape]
    if inputs.dtype == "string":
        return tf.constant(np.full(shape, "a"))
    return tf.zeros(shape, inputs.dtype)
