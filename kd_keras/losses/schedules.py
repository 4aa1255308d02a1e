"""Hyper-parameters that move with the step: a temperature or a weight may be a Keras schedule."""

from __future__ import annotations

import copy
import math
from typing import Any

import keras
from keras import ops


def is_schedule(value: Any) -> bool:
    """Return whether `value` is a `keras.optimizers.schedules.LearningRateSchedule`."""
    return isinstance(value, keras.optimizers.schedules.LearningRateSchedule)


def check_number(name: str, value: Any, expected: str, *, above_zero: bool = False) -> Any:
    """Return `value` as a float, a schedule as it is, or raise.

    Args:
        name: The argument, for the error.
        value: What was given.
        expected: What it must be, and what is usual: the middle of the error's sentence.
        above_zero: Whether 0 is refused too.

    Raises:
        ValueError: If `value` is neither a schedule nor a finite number of that sign.
    """
    if is_schedule(value):
        return value
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < 0 or (above_zero and value == 0):
        raise ValueError(
            f"`{name}` must be {expected}, or a `keras.optimizers.schedules.LearningRateSchedule`. "
            f"Received: {name}={value!r}."
        )
    return float(value)


def check_weight(name: str, value: Any) -> Any:
    """Return a weight inside a loss as `check_number` does: a number >= 0, or a schedule."""
    return check_number(name, value, "a finite number >= 0 (0 switches that term off)")


def at_step(value: Any, step: Any) -> Any:
    """Return the value at `step`, a float32 scalar tensor; a number stays what it is."""
    if not is_schedule(value):
        return value
    # Keras's schedules compute in the dtype of their start value; the step is an int64.
    return ops.cast(value(ops.cast(step, "float32")), "float32")


def loss_at_step(loss: Any, step: Any) -> Any:
    """Return `loss` with the values that its schedules have at `step`.

    The same loss where it has none; else a copy, which shares its layers. The values are tensors of
    the graph that is traced, so they must not stay in the loss itself.
    """
    scheduled = {name: value for name, value in vars(loss).items() if is_schedule(value)}
    if not scheduled:
        return loss
    now = copy.copy(loss)
    for name, schedule in scheduled.items():
        setattr(now, name, at_step(schedule, step))
    return now


def refuse_schedules(loss: Any) -> None:
    """Raise `ValueError` if `loss` has schedules: outside of a Distiller nobody counts steps."""
    names = [name for name, value in vars(loss).items() if is_schedule(value)]
    if names:
        raise ValueError(
            f"{type(loss).__name__} has a schedule for {names}, which needs the count of steps "
            "that `kd_keras.Distiller` keeps. Received: a call outside of it. Use "
            "`kd_keras.Distiller`, or pass numbers."
        )
