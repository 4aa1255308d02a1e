"""Record what a teacher says of augmented views once; train any number of students on it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kd_keras.replay.checking import Checked, check
    from kd_keras.replay.on_beam import record_on_beam
    from kd_keras.replay.recording import record
    from kd_keras.replay.teacher import ReplayTeacher

__all__ = ["Checked", "ReplayTeacher", "check", "record", "record_on_beam"]

# No module has the name of what is in it: whoever imported the module would hide the function.
_HOMES = {
    "Checked": "checking",
    "ReplayTeacher": "teacher",
    "check": "checking",
    "record": "recording",
    "record_on_beam": "on_beam",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kd_keras.replay' has no attribute {name!r}")
    return getattr(importlib.import_module(f"kd_keras.replay.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
