"""Checks of the numbers that losses are made with."""

from __future__ import annotations

import math
from typing import Any


def check_weight(name: str, weight: Any) -> float:
    """Return `weight` as a float, or raise if it is not a finite number >= 0."""
    is_number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
    if not is_number or not math.isfinite(weight) or weight < 0:
        raise ValueError(
            f"`{name}` must be a finite number >= 0; 0 switches that term off. "
            f"Received: {name}={weight!r}."
        )
    return float(weight)
