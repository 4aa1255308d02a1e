"""Hyper-parameters that move with the step: a temperature or a weight may be a Keras schedule."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras import ops, tree

from kd_keras.arguments import check_number, check_temperature


def is_schedule(value: Any) -> bool:
    """Return whether `value` is a `keras.optimizers.schedules.LearningRateSchedule`."""
    return isinstance(value, keras.optimizers.schedules.LearningRateSchedule)


def number_or_schedule(name: str, value: Any, check: Callable[[str, Any], float]) -> Any:
    """Return `value` as a float, a schedule as it is, or raise.

    Of a schedule the numbers that it was made with and its first value are looked at; what it does
    later is seen in the loss.

    Args:
        name: The argument, for the error.
        value: What was given.
        check: Called with a name and a number; returns the number, or raises `ValueError`.

    Raises:
        ValueError: If `value` is neither a number that passes nor a schedule of such numbers.
    """
    if not is_schedule(value):
        try:
            return float(check(name, value))
        except ValueError as error:
            raise ValueError(
                f"{error} It may be a `keras.optimizers.schedules.LearningRateSchedule` too."
            ) from None
    for key, number in _numbers_of(value).items():
        check_number(f"{key} of {name}", number)
    check(f"{name} at step 0", float(ops.convert_to_numpy(at_step(value, 0))))
    return value


def checked_weight(name: str, value: Any) -> Any:
    """Return a weight as `number_or_schedule` does: a finite number >= 0, or a schedule."""
    remedy = "0 switches that term off."
    return number_or_schedule(name, value, partial(check_number, low=0, remedy=remedy))


def checked_temperature(value: Any) -> Any:
    """Return a temperature as `number_or_schedule` does."""
    return number_or_schedule("temperature", value, check_temperature)


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


def _numbers_of(schedule: Any) -> dict[str, float]:
    try:
        config = schedule.get_config()
    except NotImplementedError:  # A schedule of one's own need not have one.
        return {}
    return {
        ".".join(map(str, path)): value
        for path, value in tree.flatten_with_path(config)
        if isinstance(value, float)
    }
