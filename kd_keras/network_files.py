"""Networks in `.keras` files. Below every room: whoever takes the path of one reads it so."""

from __future__ import annotations

import contextlib
import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from kd_keras.archives import most_unpacked, refuse_bad_network
from kd_keras.json_text import read_json
from kd_keras.recipes.stage import function_of

if TYPE_CHECKING:
    import keras

_DAMAGED = (
    "`{role}` is damaged: {damage}. Put back a whole copy, or train it again. Received: "
    "{role}={path!r}"
)


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
        raise ValueError(_DAMAGED.format(role=role, damage=damage, path=str(path)))
    # Networks consist of layers of these; of the rooms, a command imports what it needs.
    for room in ("models", "quantize"):
        importlib.import_module(f"kd_keras.{room}")
    from kd_keras.compat.variables import TooLargeError, bounded_variables

    try:
        # Some words in its config may stand for gigabytes, too.
        with bounded_variables(most_unpacked(path.stat().st_size)):
            return keras.models.load_model(path, compile=False)
    except TooLargeError as error:
        raise ValueError(_DAMAGED.format(role=role, damage=error, path=str(path))) from error
    except Exception as error:  # zip, JSON, unknown classes: each with an exception of its own
        said, remedy = _in_words(path, str(error))
        raise ValueError(
            f"`{role}` cannot be loaded from {str(path)!r}: {said} {remedy}"
        ) from error


def _in_words(path: Path, said: str) -> tuple[str, str]:
    """Return what Keras says of a file that it cannot load, shortened, and what to do."""
    if "safe_mode" in said:
        return (
            "it holds Python code, such as that of a Lambda layer, which is not run.",
            "Give a function that makes the network with functions and layers that are registered "
            "(keras.saving.register_keras_serializable) in their place, and then loads the weights "
            "of this file (`load_weights`), as in mymodels.py:build.",
        )
    said = said.split("Full object config")[0].strip()
    built_by = _function_in_recipe(path)
    if built_by:
        module = function_of(built_by)
        gone = module is not None and module[0].endswith(".py") and not Path(module[0]).is_file()
        return said, (
            f"Its layers are perhaps of {built_by!r}, which the recipe beside it names"
            f"{' and which is not there now: put it back, or say where it is' if gone else ''}. "
            f"Import that first: --own-module {built_by} on the command "
            "line."
        )
    return said, (
        "If it has layers of your own, import the module that registers them first: --own-module "
        "mymodels.py on the command line; for `kd-keras distill` give a function that loads it, as "
        "in mymodels.py:build."
    )


def _function_in_recipe(path: Path) -> str:
    """Return the function that the recipe of a run or study says to build a network, or ""."""
    role = "teacher" if path.stem == "teacher" else "student"
    folder = path.absolute().parent
    for note in (folder / "recipe.json", folder.parent.parent / "study.json"):
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
            fields = read_json(note)
            network = str(fields.get("recipe", fields)[role])
            if function_of(network) is not None:
                return network
    return ""
