"""KL divergence between logits that are standardised first, for teacher and student alike."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from kd_keras.losses.contract.softened import SoftenedLoss
from kd_keras.losses.contract.vectors import is_constant, norm
from kd_keras.losses.kl_divergence import kl_divergence

_EPSILON = 1e-7


def standardized_kl(teacher_logits: Any, student_logits: Any, temperature: Any) -> Any:
    r"""Return T^2 * KL(softmax(z(t) / T) || softmax(z(s) / T)) of each position.

    Args:
        teacher_logits: Float tensor `(..., classes)`.
        student_logits: Float tensor of the same shape.
        temperature: T > 0.

    Returns:
        Tensor of shape `logits.shape[:-1]`, values >= 0.
    """
    return kl_divergence(_standardized(teacher_logits), _standardized(student_logits), temperature)


def _standardized(logits: Any) -> Any:
    """Return (x - mean) / (std + 1e-7), std with n - 1; zeros without gradient for a constant."""
    constant = is_constant(logits, axis=-1)
    centred = logits - ops.mean(logits, axis=-1, keepdims=True)
    deviation = norm(centred, keepdims=True) / math.sqrt(logits.shape[-1] - 1)
    return ops.where(constant, 0.0, centred / (deviation + _EPSILON))


@keras.saving.register_keras_serializable(package="kd_keras")
class StandardizedKL(SoftenedLoss):
    r"""`KLDivergence` of logits that are brought to mean 0 and standard deviation 1.

    ```
    z(x) = (x - mean(x)) / (std(x) + 1e-7)      over the classes, std with classes - 1
    p = softmax(z(teacher_logits) / T),  q = softmax(z(student_logits) / T)
    loss = T^2 * sum_c p_c * (log p_c - log q_c)
    ```

    The student keeps its own range of logits and learns their relations. The loss is invariant to
    scale and shift of either net's logits. Where all logits are equal (a head initialised with
    zeros) they have no direction: z is 0 there, and so is the gradient.

    Published weights (logit-standardization-KD): temperature 2, 9 times this loss and 0.1 times the
    student's: `student_loss_weight=0.1, distillation_loss_weights=10` in the convex combination.

    Args:
        temperature: T, from 0.001 to 1000, of logits whose standard deviation is 1.
        teacher_layer_name: Where the teacher's logits are, if not its output (see `Loss`).
        student_layer_name: Where the student's logits are, if not its output.

    Raises:
        ValueError: If `temperature` is not a positive finite number, or if there are fewer than
            three classes: two logits, standardised, tell only which is the larger.

    Example:

    >>> import kd_keras, numpy as np
    >>> loss = kd_keras.losses.StandardizedKL(temperature=2.0)
    >>> logits = np.array([[1.0, 2.0, 4.0]])
    >>> round(float(loss.compute_loss(logits, 10 * logits + 3)), 4)
    0.0

    Reference: Sun et al., "Logit Standardization in Knowledge Distillation", CVPR 2024,
    arXiv:2403.01427.
    """

    def __init__(
        self,
        temperature: Any = 2.0,
        teacher_layer_name: str | None = None,
        student_layer_name: str | None = None,
    ):
        super().__init__(temperature, teacher_layer_name, student_layer_name)

    def validate_outputs(self, teacher_outputs: Any, student_outputs: Any) -> None:
        """Raise `ValueError` when the outputs do not fit together, or have too few classes."""
        super().validate_outputs(teacher_outputs, student_outputs)
        for logits in keras.tree.flatten(student_outputs):
            if logits.shape[-1] is not None and logits.shape[-1] < 3:
                raise ValueError(
                    f"{type(self).__name__} needs the logits of three classes or more: two logits, "
                    "standardised, tell only which is the larger, and the gradient is 0. Received: "
                    f"{tuple(logits.shape)}. Use kd_keras.losses.KLDivergence."
                )

    def softened_values(self, teacher_logits: Any, student_logits: Any) -> Any:
        return standardized_kl(teacher_logits, student_logits, self.temperature)
