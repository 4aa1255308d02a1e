"""Commands that have a form for each recipe: `kd-keras <command> <recipe> ...`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Union

import tyro

from kd_keras import recipes
from kd_keras.commands.job import Job


def one_of_recipes(make_default: Callable[[recipes.Recipe, str], Job]) -> Any:
    """Return the type of a command that takes the name of a recipe and then its options.

    Args:
        make_default: Returns the command's options for a recipe and its name.
    """
    jobs = []
    for name, make in recipes.NAMED.items():
        default = make_default(make(), name)
        description = inspect.getdoc(inspect.getmodule(make))
        subcommand = tyro.conf.subcommand(name, default=default, description=description)
        jobs.append(Annotated[type(default), subcommand])
    return Union[tuple(jobs)]  # noqa: UP007
