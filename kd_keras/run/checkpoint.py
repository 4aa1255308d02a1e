"""The state of training after a complete epoch, in one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kd_keras.run.history import Epochs
from kd_keras.whole_file import written_beside

_HISTORY = "history"


def save_checkpoint(path: Path, model: Any, network: keras.Model, history: Epochs) -> None:
    """Write all that the next epoch depends on.

    Args:
        path: A `.npz` file; it appears whole or not at all.
        model: The compiled and built model that trains `network` and counts its steps in `step`.
        network: What is trained. Its variables include the states of its random layers.
        history: The logs of all epochs so far.
    """
    arrays = {
        f"variable_{index}": keras.ops.convert_to_numpy(variable)
        for index, variable in enumerate(_state(model, network))
    }
    arrays[_HISTORY] = np.array(json.dumps(history))
    with written_beside(path) as beside:
        np.savez(beside, **arrays)


def restore_checkpoint(path: Path, model: Any, network: keras.Model) -> Epochs:
    """Bring model and network to the state in the file, and return the history in it.

    Args:
        path: A file of `save_checkpoint`; where there is none, nothing changes.
        model: As for `save_checkpoint`.
        network: As for `save_checkpoint`.
    """
    if not path.exists():
        return []
    with np.load(path) as arrays:
        for index, variable in enumerate(_state(model, network)):
            variable.assign(arrays[f"variable_{index}"])
        history: Epochs = json.loads(arrays[_HISTORY].item())
    return history


def _state(model: Any, network: keras.Model) -> list[Any]:
    adapted = getattr(model, "adaptation_variables", [])
    return [*network.variables, model.step, *model.optimizer.variables, *adapted]
