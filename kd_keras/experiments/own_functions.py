"""Functions of the user's own that return networks: how they are called."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras

from kd_keras import data
from kd_keras.own_modules import failure, import_own
from kd_keras.recipes.recipe import Recipe
from kd_keras.recipes.stage import Stage

# What functions have returned in this process.
_RETURNED: weakref.WeakSet[keras.Model] = weakref.WeakSet()


def returned_by(
    module: str, name: str, stage: Stage, recipe: Recipe, info: data.DataInfo
) -> keras.Model:
    """Return a new network from a function of the user's own.

    Args:
        module: A Python file, or a module.
        name: The function in it.
        stage: Names the network.
        recipe: Says seed and weight decay.
        info: Shape of the examples and number of classes.

    Raises:
        ValueError: If there is no such function, it takes other arguments, raises an exception, or
            returns no network, or one that it has returned before.
    """
    received = f"Received: {stage.role}={stage.network!r}"
    imported = import_own(module, stage.role, stage.network)
    function = getattr(imported, name, None)
    if not callable(function):
        raise ValueError(
            f"`{stage.role}` must name a function that returns a network. {received}, and there is "
            f"no {name!r} in it."
        )
    offered = {
        "input_shape": info.input_shape,
        "num_classes": info.num_classes,
        "weight_decay": recipe.weight_decay,
        "seed": recipe.seed,
    }
    arguments = _arguments(function, offered, stage)
    try:
        network = function(**arguments)
    except Exception as error:
        path = Path(str(getattr(imported, "__file__", name)))
        raise failure(error, path, stage.role, stage.network) from error
    if not isinstance(network, keras.Model):
        raise ValueError(
            f"`{stage.role}` must name a function that returns a keras.Model; it may take "
            f"{', '.join(offered)}. {received}, which returns {type(network).__name__}."
        )
    if network in _RETURNED:
        raise ValueError(
            f"`{stage.role}` must name a function that makes a new network at each call: a run "
            f"trains several. {received}, which returned the same one again. Make it inside of the "
            "function."
        )
    _RETURNED.add(network)
    return network


def _arguments(
    function: Callable[..., Any], offered: Mapping[str, Any], stage: Stage
) -> dict[str, Any]:
    """Return what of `offered` a function takes, all of them by their names."""
    parameters = inspect.signature(function).parameters.values()
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    unnamed = [p for p in parameters if p.kind is p.POSITIONAL_ONLY]
    needed = [p.name for p in named if p.default is p.empty and p.name not in offered]
    needed += [p.name for p in unnamed if p.default is p.empty]
    if needed:
        raise ValueError(
            f"`{stage.role}` must name a function that needs nothing but {', '.join(offered)}, "
            f"each by its name. Received: {stage.role}={stage.network!r}, which needs "
            f"{', '.join(needed)}. Call that by one of those names, or give it a default."
        )
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return dict(offered)
    return {p.name: offered[p.name] for p in named if p.name in offered}
