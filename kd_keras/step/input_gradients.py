"""The gradient of a network's outputs with respect to its inputs, for losses that ask for it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

# In half precision the gradient at a pixel of 0..255 would fall out of the range of the numbers.
_SCALE = 1024.0


class Forward(NamedTuple):
    """What one forward pass of a network gives."""

    outputs: Any
    taps: dict[str, Any]
    # Function of (output_gradients, tap) that returns the gradient of the sum of output_gradients *
    # output at the inputs: float32, in their structure, 0 for inputs that the output does not
    # depend on. Called inside another tape it can be differentiated. None where nobody asks.
    input_gradient: Callable[..., Any] | None = None


def run(
    network: Callable[..., tuple[Any, dict[str, Any]]], x: Any, training: bool, watched: bool
) -> Forward:
    """Run `network` once.

    Args:
        network: A `TappedModel`.
        x: Its inputs.
        training: Whether dropout and batch statistics are those of training.
        watched: Whether the gradient at the inputs is wanted.

    Raises:
        ValueError: If the gradient is wanted and the inputs are whole numbers that are no pixels.
    """
    if not watched:
        return Forward(*network(x, training=training))
    x = keras.tree.map_structure(_as_float, x)
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(x)
        outputs, taps = network(x, training=training)
    return Forward(outputs, taps, functools.partial(_gradient, tape, x, outputs, taps))


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
