"""Less memory in training: the inside of a part is computed again where its gradient needs it."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="kd_keras")
class Rematerialized(keras.Layer):
    """Run a part of a network in training without keeping its inside for the backward pass.

    What lies inside is computed again from the part's input, which takes time for one more forward
    pass and gives memory. Batch statistics move once all the same. `keras.RematScope` works layer
    by layer, which keeps what lies between the layers, and moves them twice.

    Args:
        part: A functional model without random layers.
        **kwargs: Passed on to `keras.Layer`.

    Example:

    >>> import keras
    >>> from kd_keras.models.rematerialized import Rematerialized
    >>> inputs = keras.Input((8,))
    >>> part = keras.Model(inputs, keras.layers.Dense(8, "relu")(inputs))
    >>> model = keras.Sequential([keras.Input((8,)), Rematerialized(part, name="part")])
    >>> model.output_shape
    (None, 8)

    Reference: Chen, Xu, Zhang and Guestrin, "Training Deep Nets with Sublinear Memory Cost", 2016,
    arXiv:1604.06174.
    """

    def __init__(self, part: keras.Model, **kwargs: Any):
        super().__init__(**kwargs)
        self.autocast = False  # the layers inside cast their own inputs, by their own policy
        self.part = part
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the part's outputs."""
        if not training or not tf.is_tensor(inputs):
            return self.part(inputs, training=training)
        moving = self.part.non_trainable_variables

        def run(x: tf.Tensor) -> list[tf.Tensor]:
            # The scope collects what batch normalisation would assign, in the second run too.
            with keras.StatelessScope() as scope:
                outputs = self.part(x, training=True)
            return [outputs, *(scope.get_current_value(variable) for variable in moving)]

        outputs, *values = tf.recompute_grad(run)(inputs)
        for variable, value in zip(moving, values, strict=True):
            variable.assign(tf.stop_gradient(value))
        return outputs

    def compute_output_spec(self, inputs: Any, training: bool = False) -> Any:
        """Return what the part puts out."""
        return self.part.compute_output_spec(inputs)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "part": keras.saving.serialize_keras_object(self.part),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Rematerialized:
        part = keras.saving.deserialize_keras_object(config.pop("part"))
        return cls(part, **config)


def rematerialized(build: Any, x: Any, name: str) -> Any:
    """Return `build(x)` as one layer called `name`, rematerialised.

    Args:
        build: Builds layers on a symbolic tensor, the last of them called `name`.
        x: A symbolic tensor.
        name: Name of the layer, by which it can be tapped.
    """
    inputs = keras.Input(batch_shape=x.shape, dtype=x.dtype)
    part = keras.Model(inputs, build(inputs), name=f"{name}_part")
    return Rematerialized(part, name=name)(x)
