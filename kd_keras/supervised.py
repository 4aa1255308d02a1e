"""Deprecated: `Supervised` is public now, as `kd_keras.Supervised`."""

from __future__ import annotations

import warnings
from typing import Any


def __getattr__(name: str) -> Any:
    if name != "Supervised":
        raise AttributeError(f"module 'kd_keras.supervised' has no attribute {name!r}")
    from kd_keras.training.supervised import Supervised

    warnings.warn(
        "`kd_keras.supervised.Supervised` will go. Write `kd_keras.Supervised`.",
        DeprecationWarning,
        stacklevel=2,
    )
    return Supervised
