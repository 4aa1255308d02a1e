"""The user's own files that a recipe names networks by. Imports no TensorFlow."""

from __future__ import annotations

from pathlib import Path

from kd_keras.network_files import network_file
from kd_keras.recipes.recipe import Recipe
from kd_keras.recipes.stage import Stage, function_of, is_file
from kd_keras.whole_file import checksum


def own_files(recipe: Recipe) -> dict[str, str]:
    """Return the digests of the user's own files of networks, by the field that names them.

    Raises:
        ValueError: If there is no such file.
    """
    found = {}
    for stage in recipe.stages():
        function = function_of(stage.network)
        if is_file(stage.network):
            found[stage.role] = checksum(network_file(stage.network, stage.role))
        elif function is not None and function[0].endswith(".py"):
            found[stage.role] = checksum(module_file(function[0], stage))
    return found


def module_file(module: str, stage: Stage) -> Path:
    """Return the Python file of a network's function, or raise `ValueError` where there is none."""
    path = Path(module).expanduser()
    if not path.is_file():
        raise ValueError(
            f"`{stage.role}` names a Python file that does not exist. Received: "
            f"{stage.role}={stage.network!r}. Give the path of the file, a colon and the name of "
            "the function."
        )
    return path
