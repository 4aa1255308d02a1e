"""Jacobian matching: where the teacher looks, the student shall look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kd_keras.losses.contract.base import LogitLoss


def input_gradient(teacher_gradients: Any, student_gradients: Any) -> Any:
    r"""Return || gT / ||gT|| - gS / ||gS|| ||^2 of each example, = 2 - 2 cos(gT, gS).

    Args:
        teacher_gradients: Float tensor `(batch, ...)`.
        student_gradients: Float tensor of the same shape.

    Returns:
        Float32 tensor `(batch,)`, from 0 (one direction) to 4 (opposite directions). A gradient
        that is 0 everywhere has no direction and counts as 0: 1 against any other, 0 against
        another zero.
    """
    difference = _direction(teacher_gradients) - _direction(student_gradients)
    return ops.sum(ops.square(difference), axis=-1)


def _direction(gradients: Any) -> Any:
    flat = ops.cast(gradients, "float32")
    flat = ops.reshape(flat, (ops.shape(flat)[0], -1))
    # The squares of gradients at 0..255 pixels would leave the range of float32 long before the
    # gradients do.
    largest = ops.max(ops.abs(flat), axis=-1, keepdims=True)
    flat = flat / ops.where(largest > 0, largest, 1.0)
    squared = ops.sum(ops.square(flat), axis=-1, keepdims=True)
    # The root of 0 has no finite gradient, not even behind a `where`.
    return flat / ops.sqrt(ops.where(squared > 0, squared, 1.0))


@keras.saving.register_keras_serializable(package="kd_keras")
class InputGradient(LogitLoss):
    r"""Squared difference between the directions of both networks' gradients at the input.

    ```
    c = argmax(teacher_logits)
    gT = d teacher_logits_c / dx,  gS = d student_logits_c / dx
    loss = || gT / ||gT|| - gS / ||gS|| ||^2
    ```

    The logit is that of the teacher's class in both networks; dense outputs add up their positions.
    To match the Jacobians is, to second order, what distillation with noise on the inputs does.

    The gradients come from `kd_keras.Distiller`, in the step's one forward pass of each network: a
    tape inside the step's. The step then goes back through both networks and a second time through
    the student, at two to three times the cost of a step without; `benchmarks/losses.py` measures
    it. Inputs are floats, or images as uint8.

    Published: added to the student's loss and to a distillation loss; the weight is chosen by
    validation.

    Args:
        teacher_layer_name: Where the teacher's logits are, if not its output (see `Loss`).
        student_layer_name: Where the student's logits are, if not its output.

    Raises:
        ValueError: If the gradients are missing (only `kd_keras.Distiller` has them), or the inputs
            have none.

    Example:

    >>> import kd_keras, numpy as np
    >>> linear = lambda kernel: lambda output_gradients: output_gradients @ np.transpose(kernel)
    >>> kernel = np.array([[3.0, 0.0], [4.0, 1.0]], "float32")  # d logit_0 / dx = [3, 4]
    >>> loss = kd_keras.losses.InputGradient()
    >>> value = loss.compute_loss(
    ...     np.array([[2.0, 1.0]]),
    ...     np.array([[0.0, 0.0]]),
    ...     teacher_input_gradient=linear(kernel),
    ...     student_input_gradient=linear(np.array([[1.0, 0.0], [0.0, 0.0]], "float32")),
    ... )
    >>> round(float(value), 4)  # (0.6 - 1)^2 + 0.8^2
    0.8

    Reference: Srinivas, Fleuret, "Knowledge Transfer with Jacobian Matching", ICML 2018,
    arXiv:1803.00443.
    """

    matches = "gradients"

    def per_example(
        self,
        teacher_outputs: Any,
        student_outputs: Any,
        sample_weight: Any = None,
        teacher_input_gradient: Callable[[Any], Any] | None = None,
        student_input_gradient: Callable[[Any], Any] | None = None,
    ) -> Any:
        """Return one loss value per example.

        Args:
            teacher_outputs: Logits `(batch, ..., classes)`.
            student_outputs: The same shape.
            sample_weight: `None`, or weights `(batch,)` or `(batch, ...)`; those of an example's
                positions are averaged.
            teacher_input_gradient: Function of the gradient at the teacher's logits that returns
                the gradient at its inputs.
            student_input_gradient: The same of the student.

        Returns:
            Float32 tensor `(batch,)`.
        """
        if teacher_input_gradient is None or student_input_gradient is None:
            raise ValueError(
                f"{type(self).__name__} needs `teacher_input_gradient` and `student_input_gradient`"
                ", which only `kd_keras.Distiller` has: keras.distillation.Distiller keeps no "
                "gradient of the inputs. Use kd_keras.Distiller; it takes the same arguments."
            )
        self.validate_outputs(teacher_outputs, student_outputs)
        logits = keras.tree.flatten(teacher_outputs)
        if len(logits) > 1:
            raise ValueError(
                f"{type(self).__name__} matches the gradient of one output. Received: "
                f"{len(logits)} outputs. Name one with `teacher_layer_name` and "
                "`student_layer_name`; use one loss for each."
            )
        chosen = keras.tree.pack_sequence_as(teacher_outputs, [_chosen(logits[0])])
        values = input_gradient(
            ops.stop_gradient(_flat(teacher_input_gradient(chosen))),
            _flat(student_input_gradient(chosen)),
        )
        if sample_weight is not None:
            weight = ops.cast(keras.tree.flatten(sample_weight)[0], "float32")
            further = tuple(range(1, len(weight.shape)))
            values = values * (ops.mean(weight, axis=further) if further else weight)
        return values


def _chosen(logits: Any) -> Any:
    """Return 1 at the class that the teacher picks, 0 elsewhere; of one binary logit itself."""
    if logits.shape[-1] == 1:
        return ops.ones_like(logits)
    return ops.one_hot(ops.argmax(logits, axis=-1), logits.shape[-1], dtype="float32")


def _flat(gradients: Any) -> Any:
    """Put the gradients of all inputs side by side, `(batch, values)`."""
    parts = [ops.cast(part, "float32") for part in keras.tree.flatten(gradients)]
    return ops.concatenate([ops.reshape(p, (ops.shape(p)[0], -1)) for p in parts], axis=-1)
