"""Networks in `.keras` files. Below every room: whoever takes the path of one reads it so."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from kd_keras.archives import refuse_bad_network

if TYPE_CHECKING:
    import keras


def network_file(path: str | os.PathLike[str], role: str, remedy: str = "") -> Path:
    """Return the file of a network.

    Args:
        path: A `.keras` file.
        role: What an error calls the network.
        remedy: How to get one, for the error.

    Raises:
        ValueError: If it is not a `.keras` file that exists.
    """
    found = Path(path).expanduser()
    if found.suffix != ".keras" or not found.is_file():
        raise ValueError(
            f"`{role}` must be a .keras file that exists, as `model.save(...)` writes it. "
            f"Received: {role}={str(path)!r}. {remedy}".rstrip()
        )
    return found


def archive_damage(path: Path) -> str:
    """Return what is wrong with the archive that a `.keras` file is, in words, or ""."""
    try:
        refuse_bad_network(path)
    except OSError as error:
        return f"it is no whole archive ({error})"
    except ValueError as error:
        return str(error)
    return ""


def load_network(path: Path, role: str) -> keras.Model:
    """Return the network in a `.keras` file.

    Args:
        path: The file.
        role: What an error calls the network.

    Raises:
        ValueError: If it is damaged, or Keras cannot read it.
    """
    import keras

    # Keras says "File not found" of a file that is no whole archive.
    damage = archive_damage(path)
    if damage:
        raise ValueError(
            f"`{role}` is damaged: {damage}. Put back a whole copy, or train it again. Received: "
            f"{role}={str(path)!r}"
        )
    # A quantisation-aware student consists of them; of the rooms, a command imports what it needs.
    importlib.import_module("kd_keras.quantize")
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # zip, JSON, unknown classes: each with an exception of its own
        raise ValueError(
            f"`{role}` cannot be loaded from {str(path)!r}: {error} A network with layers of "
            "your own is loaded in Python, after they are registered."
        ) from error
