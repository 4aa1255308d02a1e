"""Names that moved to another room: they work where they were, with a warning that says the new."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any


def moved(room: str, homes: Mapping[str, str]) -> Callable[..., Any]:
    """Return the `__getattr__` of a module whose names have moved.

    Args:
        room: Name of the module.
        homes: For each name that moved, the module in which it is now.
    """

    def __getattr__(name: str, stacklevel: int = 2) -> Any:
        if name not in homes:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        warnings.warn(
            f"`{room}.{name}` will go. Write `{homes[name]}.{name}`.",
            DeprecationWarning,
            stacklevel=stacklevel,
        )
        return getattr(importlib.import_module(homes[name]), name)

    return __getattr__
