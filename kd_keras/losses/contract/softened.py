"""What the losses between softened class distributions share: the temperature and binary logits."""

from __future__ import annotations

from typing import Any

from keras import ops

from kd_keras.losses.contract.base import LogitLoss
from kd_keras.losses.contract.schedules import checked_temperature


def two_classes_if_binary(logits: Any) -> Any:
    """Turn one logit z, `(..., 1)`, into the two classes' logits `[z, 0]`, `(..., 2)`.

    A softmax over one class is constant, so a binary model would silently get a zero loss;
    softmax([z, 0]) = [sigmoid(z), 1 - sigmoid(z)].
    """
    if logits.shape[-1] == 1:
        return ops.concatenate([logits, ops.zeros_like(logits)], axis=-1)
    return logits


class SoftenedLoss(LogitLoss):
    """Base of the losses between class distributions that a temperature softens.

    A subclass writes `softened_values` for two classes or more.
    """

    shift_invariant = True
    saved_arguments: tuple[str, ...] = ("temperature",)

    def __init__(
        self,
        temperature: Any = 4.0,
        teacher_layer_name: str | None = None,
        student_layer_name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name)
        self.temperature = checked_temperature(temperature)

    def softened_values(self, teacher_logits: Any, student_logits: Any) -> Any:
        """Return the loss of each position, shape `logits.shape[:-1]`, at `self.temperature`."""
        raise NotImplementedError(
            f"{type(self).__name__} must define `softened_values(teacher_logits, student_logits)`."
        )

    def values(self, teacher_logits: Any, student_logits: Any) -> Any:
        return self.softened_values(
            two_classes_if_binary(teacher_logits), two_classes_if_binary(student_logits)
        )
