"""Record what a teacher says of augmented views once; train any number of students on it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kd_keras.replay.check import Checked, check
    from kd_keras.replay.on_beam import record_on_beam
    from kd_keras.replay.record import record
    from kd_keras.replay.teacher import ReplayTeacher

__all__ = ["Checked", "ReplayTeacher", "check", "record", "record_on_beam"]

_HOMES = {
    "Checked": "check",
    "ReplayTeacher": "teacher",
    "check": "check",
    "record": "record",
    "record_on_beam": "on_beam",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kd_keras.replay' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"kd_keras.replay.{_HOMES[name]}"), name)
    # The module that was imported has taken the name of what is in it.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
