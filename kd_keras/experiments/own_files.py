"""The user's own files that a recipe names networks by. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kd_keras.network_files import network_file
from kd_keras.own_modules import own_sources
from kd_keras.recipes.recipe import Recipe
from kd_keras.recipes.stage import function_of, is_file
from kd_keras.whole_file import checksum


def own_files(recipe: Recipe) -> dict[str, str]:
    """Return the digests of the user's own files of networks.

    Args:
        recipe: Names the networks.

    Returns:
        The digests by the field that names a network; those of the modules that a function's module
        imports by the field and their names, as in `student: blocks`.

    Raises:
        ValueError: If there is no such file.
    """
    found = {}
    for stage in recipe.stages():
        name = stage.name if stage.is_teacher else stage.role
        function = function_of(stage.network)
        if name in found:
            continue  # both students begin with the same one
        if is_file(stage.network):
            found[name] = checksum(network_file(stage.network, stage.role))
        elif function is not None:
            sources = own_sources(function[0], stage.role, stage.network)
            for module, path in sources.items():
                found[f"{name}: {module}" if module else name] = checksum(path)
    return found


def files_of(role: str, digests: Mapping[str, Any]) -> dict[str, Any]:
    """Return the digests of one network's files, of those that `own_files` returned."""
    return {name: value for name, value in digests.items() if name.split(":")[0] == role}
