"""Stop at a non-finite loss with the last good weights, statistics and random states in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kd_keras.graph_errors import MARKER, NOT_FINITE
from kd_keras.training import replicas


class Snapshot:
    """The state that the forward pass moves (BatchNorm statistics, seeds), as it was before.

    Args:
        variables: Keras variables, read now and written back if the step turns out bad.
    """

    def __init__(self, variables: Sequence[Any]):
        self._components = [replicas.local_component(variable) for variable in variables]
        self._values = [tf.identity(component) for component in self._components]

    def restore(self) -> tf.Tensor:
        for component, value in zip(self._components, self._values, strict=True):
            component.assign(value)
        return tf.constant(False)


def stop_unless_finite(
    gradients: list[Any],
    losses: dict[str, tf.Tensor],
    snapshot: Snapshot,
    evidence: dict[str, tf.Tensor],
) -> list[Any]:
    """Return the operations that a step must wait for: they restore and raise if it is not finite.

    They stand outside the core, because assertions inside a compiled one are dropped.

    Args:
        gradients: Gradients, `None` where a variable has none. Those of a scaled loss are left out:
            an overflow there is normal and handled by the optimizer.
        losses: Name and unscaled scalar value of each part of the loss, for the message.
        snapshot: What to restore.
        evidence: What else the message tells, by name.
    """
    finite = tf.reduce_all([tf.math.is_finite(value) for value in losses.values()])
    dense = [_dense_values(gradient) for gradient in gradients if gradient is not None]
    if dense:
        sums = [tf.reduce_sum(tf.cast(values, tf.float32)) for values in dense]
        finite = tf.logical_and(finite, tf.reduce_all(tf.math.is_finite(tf.stack(sums))))
    healthy = tf.logical_not(replicas.any_replica(tf.logical_not(finite)))
    kept = tf.cond(healthy, lambda: tf.constant(True), snapshot.restore)
    message: list[Any] = [
        f"{MARKER}{NOT_FINITE}; the weights and statistics of the last good step are kept. Lower "
        "the learning rate, clip the gradients (`clipnorm` of the optimizer), or look for NaN in "
        "the inputs. Received:"
    ]
    for name, value in {**losses, **evidence}.items():
        message += [f"{name}=", value]
    with tf.control_dependencies([kept]):
        check = tf.debugging.Assert(healthy, message)
    return [] if check is None else [check]  # run eagerly, it has raised by now


def _dense_values(gradient: Any) -> tf.Tensor:
    return gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
