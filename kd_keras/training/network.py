"""One forward pass of a network, and what can be asked of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import keras
import tensorflow as tf

from kd_keras.losses.contract.logit_form import LogitForm
from kd_keras.training.batch import Answer
from kd_keras.training.taps import TappedModel

# In half precision the gradient at a pixel of 0..255 would fall out of the range of the numbers.
_SCALE = 1024.0


class Network:
    """The student as the step sees it.

    A plain object, so that Keras does not track what is in it.

    Args:
        model: The `keras.Model`.
        taps: Names of the layers whose outputs are asked for, or tuples of names.
        call: What runs in its place where it is not tapped: a `call` of the user's own.
    """

    def __init__(
        self, model: Any, taps: Iterable[Any] = (), call: Callable[..., Any] | None = None
    ):
        self.model = model
        self.tapped = TappedModel(model, taps, "student")
        self.logits = LogitForm(model)
        self._call = call
        if call is not None and self.tapped.names:
            raise ValueError(
                "`call` is overridden, and a loss taps the student's layers, which `call` does not "
                f"give. Received: taps {list(self.tapped.names)}. Put what `call` does into the "
                "student, or leave the taps out."
            )

    def __call__(self, x: Any, training: bool, watched: bool = False) -> Answer:
        """Run the network once.

        Args:
            x: Its inputs.
            training: Whether dropout and batch statistics are those of training.
            watched: Whether the gradient at the inputs is wanted.
        """
        return answer(self._run, self.logits, x, training, watched)

    def _run(self, x: Any, training: bool) -> tuple[Any, dict[str, Any]]:
        if self._call is not None:
            return self._call(x, training=training), {}
        return self.tapped(x, training=training)


def answer(
    network: Callable[..., tuple[Any, dict[str, Any]]],
    as_logits: Callable[[Any], Any],
    x: Any,
    training: bool,
    watched: bool,
) -> Answer:
    """Run `network` once and return all that it says.

    Args:
        network: Returns outputs and taps of `(x, training=training)`.
        as_logits: Turns its outputs into logits.
        x: Its inputs.
        training: Whether dropout and batch statistics are those of training.
        watched: Whether the gradient at the inputs is wanted.

    Raises:
        ValueError: If the gradient is wanted and the inputs are whole numbers that are no pixels.
    """
    if not watched:
        outputs, taps = network(x, training=training)
        return Answer(outputs, taps, as_logits(outputs))
    x = keras.tree.map_structure(_as_float, x)
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(x)
        outputs, taps = network(x, training=training)
        logits = as_logits(outputs)
    gradient = functools.partial(_gradient, tape, x, logits, taps)
    return Answer(outputs, taps, logits, gradient)


def _gradient(
    tape: tf.GradientTape,
    x: Any,
    outputs: Any,
    taps: dict[str, Any],
    output_gradients: Any,
    tap: str | None = None,
) -> Any:
    output = outputs if tap is None else taps[tap]
    scaled = keras.tree.map_structure(
        lambda gradient, value: tf.cast(gradient, value.dtype) * _SCALE, output_gradients, output
    )
    found = tape.gradient(
        output, x, output_gradients=scaled, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    return keras.tree.map_structure(lambda gradient: gradient / _SCALE, found)


def _as_float(x: Any) -> Any:
    x = tf.convert_to_tensor(x)
    if x.dtype.is_floating or x.dtype == tf.uint8:
        return tf.cast(x, tf.float32)
    raise ValueError(
        "A loss that matches gradients needs inputs that have a gradient: floats, or images as "
        f"uint8. Received: inputs of dtype {x.dtype.name}. For token ids match the gradient of the "
        "embeddings: give both networks the embedded text as a float input."
    )
