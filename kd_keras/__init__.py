"""Knowledge distillation and data augmentation for Keras 3, from teacher to phone model.

The public surface is the names in `__all__`. What a `.keras` file needs (`Distiller`, losses and
layers) is registered when the package is imported; the rooms that need keras-cv, TensorFlow
Datasets, LiteRT or matplotlib are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kd_keras import _startup

__version__ = "0.1.0"

__all__ = [
    "Checkpoint",
    "Distiller",
    "NonFiniteLossError",
    "Supervised",
    "UnreadableDataError",
    "__version__",
    "augment",
    "data",
    "evaluate",
    "experiments",
    "export",
    "jobs",
    "losses",
    "models",
    "quantize",
    "recipes",
    "replay",
    "report",
    "tasks",
    "teachers",
]
# Imported when they are first used.
_ROOMS = tuple(name for name in __all__ if name.islower() and name[0] != "_")

_startup.refuse_legacy_keras()

if _startup.is_command_line():
    _startup.silence_tensorflow()
else:
    _startup.refuse_other_backend()

    from kd_keras import losses, models, quantize
    from kd_keras.graph_errors import NonFiniteLossError, UnreadableDataError
    from kd_keras.training.distiller import Distiller
    from kd_keras.training.supervised import Supervised

if TYPE_CHECKING:
    from kd_keras import (
        augment,
        data,
        evaluate,
        experiments,
        export,
        jobs,
        recipes,
        replay,
        report,
        tasks,
        teachers,
    )
    from kd_keras.checkpoint import Checkpoint
    from kd_keras.graph_errors import NonFiniteLossError, UnreadableDataError
    from kd_keras.training.distiller import Distiller
    from kd_keras.training.supervised import Supervised


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"kd_keras.{name}")
    if name in ("Distiller", "Supervised"):
        return getattr(importlib.import_module(f"kd_keras.training.{name.lower()}"), name)
    if name == "Checkpoint":
        return importlib.import_module("kd_keras.checkpoint").Checkpoint
    if name in ("NonFiniteLossError", "UnreadableDataError"):
        return getattr(importlib.import_module("kd_keras.graph_errors"), name)
    raise AttributeError(f"module 'kd_keras' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
