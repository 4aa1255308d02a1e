"""Refuse the values of a recipe that no run could use, by name and with the remedy."""

from __future__ import annotations

import math
import numbers
from typing import Any


def check_text(name: str, value: Any, example: str) -> None:
    """Raise unless `value` is a non-empty string."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(
            f"`{name}` must be a name such as {example!r}. Received: {name}={value!r}."
        )


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raise unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, choices))}. Received: {name}={value!r}."
        )


def check_count(name: str, value: Any, minimum: int) -> None:
    """Raise unless `value` is an integer of at least `minimum`."""
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_integer or not minimum <= int(value) < 2**63:
        raise ValueError(
            f"`{name}` must be an integer of at least {minimum}. Received: {name}={value!r}."
        )


def check_number(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    low: float | None = None,
    high: float | None = None,
    remedy: str,
) -> None:
    """Raise unless `value` is a finite number with `above < value` and `low <= value <= high`."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if (
        is_number
        and math.isfinite(value)
        and (above is None or value > above)
        and (low is None or value >= low)
        and (high is None or value <= high)
    ):
        return
    limits = [] if above is None else [f"above {above:g}"]
    limits += [] if low is None else [f"of at least {low:g}"]
    limits += [] if high is None else [f"of at most {high:g}"]
    raise ValueError(
        f"`{name}` must be a finite number {' and '.join(limits)}. Received: {name}={value!r}. "
        f"{remedy}"
    )
