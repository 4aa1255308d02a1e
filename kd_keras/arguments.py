"""Checks of arguments: what a number, a range, a name or a seed may be, for every room of kd_keras.

Numbers of NumPy are taken as Python's are and come back as Python's, because configs and recipes
are written as JSON. A bool is no number.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Sequence
from typing import Any

# Networks, losses and views are computed in float32, where anything smaller is 0 and anything
# larger is infinite.
_SMALLEST, _LARGEST = 2.0**-126, (2 - 2.0**-23) * 2.0**127
_EPSILON = 2.0**-23
_INT64 = 2**63
# Above the upper end float32 no longer tells softened distributions apart: of logits of spread 5
# the loss, T^2 KL, is wrong by 0.7 % there and by 60 % at ten times as much. At the lower end the
# softest of targets is an arg-max already, and T^2 and z / T are far from float32's own ends.
_TEMPERATURES = (0.001, 1000)


def is_integer(value: Any) -> bool:
    """Return whether `value` is an integer that int64 holds, of Python or of NumPy."""
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return is_whole and -_INT64 <= int(value) < _INT64


def is_number(value: Any) -> bool:
    """Return whether `value` is a real number that float32 holds, of Python or of NumPy."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return False
    try:
        size = abs(float(value))
    except OverflowError:  # An integer that no float holds.
        return False
    return size == 0 or _SMALLEST <= size <= _LARGEST


def plain(value: Any) -> Any:
    """Return a number as Python's own int or float, any other value as it is."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return value
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def check_integer(
    name: str, value: Any, low: int | None = None, high: int | None = None, remedy: str = ""
) -> int:
    """Return `value` as an int, or raise.

    Args:
        name: The argument, for the error.
        value: What was given.
        low: The least that is allowed.
        high: The most that is allowed.
        remedy: Further sentences of the error.

    Raises:
        ValueError: If `value` is no integer with `low <= value <= high` that int64 holds.
    """
    if is_integer(value) and (low is None or value >= low) and (high is None or value <= high):
        return int(value)
    limits = "" if low is None else f" >= {low}" if high is None else f" from {low} to {high}"
    too_long = isinstance(value, numbers.Integral) and not -_INT64 <= int(value) < _INT64
    raise ValueError(
        f"`{name}` must be an integer{limits}{' that int64 holds' if too_long else ''}. "
        f"{_received(name, value, remedy)}"
    )


def check_number(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    low: float | None = None,
    below: float | None = None,
    high: float | None = None,
    remedy: str = "",
) -> float:
    """Return `value` as an int or a float, or raise.

    Args:
        name: The argument, for the error.
        value: What was given.
        above: The lower end where it is not allowed itself.
        low: The lower end where it is.
        below: The upper end where it is not allowed itself.
        high: The upper end where it is.
        remedy: Further sentences of the error.

    Raises:
        ValueError: If `value` is no finite number between the ends, or float32 does not hold it.
    """
    number = plain(value) if is_number(value) else math.nan
    if (
        not math.isnan(number)
        and (above is None or number > above)
        and (low is None or number >= low)
        and (below is None or number < below)
        and (high is None or number <= high)
    ):
        return number
    least = f"({above:g}" if above is not None else f"[{low:g}" if low is not None else ""
    most = f"{below:g})" if below is not None else f"{high:g}]" if high is not None else ""
    if least and most:
        limits = f" in {least}, {most}"
    else:
        ends = ((">", above), (">=", low), ("<", below), ("<=", high))
        limits = "".join(f" {sign} {end:g}" for sign, end in ends if end is not None)
    # A number of Python that is finite, and is none in float32.
    held = is_number(value) or not isinstance(value, (int, float)) or not abs(value) < math.inf
    raise ValueError(
        f"`{name}` must be a finite number{limits}{'' if held else ' that float32 holds'}. "
        f"{_received(name, value, remedy)}"
    )


def check_range(name: str, value: Any, remedy: str = "") -> tuple[float, float]:
    """Return `value` as (low, high), or raise.

    Raises:
        ValueError: If `value` is no pair of finite numbers that increase, as float32 holds them.
    """
    pair = tuple(value) if isinstance(value, (tuple, list)) else ()
    if len(pair) == 2 and all(map(is_number, pair)):
        low, high = map(plain, pair)
        if is_number(high - low) and high - low > _EPSILON * max(abs(low), abs(high)):
            return low, high
    raise ValueError(
        f"`{name}` must be (low, high), finite numbers with low < high, such as (0, 255) or "
        f"(0, 1). {_received(name, value, remedy)}"
    )


def check_temperature(name: str, value: Any) -> float:
    """Return a temperature of softened distributions, or raise `ValueError`."""
    low, high = _TEMPERATURES
    return check_number(
        name,
        value,
        low=low,
        high=high,
        remedy="Common values are 2 to 8, and about 0.07 in a contrastive loss; 1 leaves the "
        "probabilities as they are.",
    )


def check_seed(value: Any, name: str = "seed") -> int:
    """Return a seed, an integer of any size, as an int, or raise `TypeError`."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise TypeError(
            f"`{name}` must be an integer. {_received(name, value)} It is of type "
            f"{type(value).__name__}."
        )
    return int(value)


def check_raw(name: str, values: Any, value_range: tuple[float, float] | None) -> None:
    """Raise `ValueError` unless an array holds raw inputs of a student, as it declares them.

    Args:
        name: The argument, for the error.
        values: A NumPy array.
        value_range: The lowest and the highest value that the student takes; None for any.
    """
    least, most = float(values.min()), float(values.max())
    received = f"Received: values from {least:g} to {most:g}"
    if not math.isfinite(least) or not math.isfinite(most):
        raise ValueError(f"`{name}` must be finite. {received}")
    if value_range is None:
        return
    low, high = value_range
    slack = 1e-3 * (high - low)
    if least < low - slack or most > high + slack:
        raise ValueError(
            f"`{name}` must be raw inputs in the range {low:g} to {high:g}. If the student "
            f"takes another range, say so with input_range=(low, high). {received}"
        )
    if values.dtype.kind == "f" and high > 1 and least >= 0 and 0 < most <= 1:
        raise ValueError(
            f"`{name}` looks like images in 0..1, but the student takes {low:g} to {high:g}. "
            "Multiply them by 255, or say input_range=(0, 1) if that is what it takes: with the "
            f"wrong range the integer scales are wrong. {received}"
        )


def saved_arguments(made: Any) -> dict[str, Any]:
    """Return what a configuration holds: the arguments that the classes of `made` name.

    Each class names its own in `saved_arguments`; each is an attribute of `made` too. Tuples become
    lists, as in a file.
    """
    names = [name for each in type(made).__mro__ for name in vars(each).get("saved_arguments", ())]
    values = {name: getattr(made, name) for name in names}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}


def refuse_complex(name: str, tensors: Iterable[Any], model: Any) -> None:
    """Raise `ValueError` if one of `tensors` is complex and `model` declares no such input.

    Keras casts them to floats, and the imaginary part is gone.
    """
    inputs = getattr(model, "inputs", None) or ()
    if any(map(_is_complex, inputs)):
        return
    found = next(filter(_is_complex, tensors), None)
    if found is not None:
        raise ValueError(
            f"`{name}` must be of real numbers. Received: shape {tuple(found.shape)}, "
            f"{found.dtype}. Split it into real and imaginary part, as two channels."
        )


def _is_complex(tensor: Any) -> bool:
    return "complex" in str(getattr(tensor, "dtype", ""))


def check_text(name: str, value: Any, example: str) -> None:
    """Raise `ValueError` unless `value` is text that is not blank."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"`{name}` must be a name such as {example!r}. {_received(name, value)}")


def check_truth(name: str, value: Any) -> None:
    """Raise `ValueError` unless `value` is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"`{name}` must be True or False. {_received(name, value)}")


def check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    """Raise `ValueError` unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, choices))}. {_received(name, value)}"
        )


def _received(name: str, value: Any, remedy: str = "") -> str:
    return f"Received: {name}={value!r}." + (f" {remedy}" if remedy else "")
