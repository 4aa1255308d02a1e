"""Commands that have a form for each recipe: `kd-keras <command> <recipe, data or file> ...`."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Union

import tyro

from kd_keras import recipes
from kd_keras.cli.job import Job
from kd_keras.recipes.stage import folder_name
from kd_keras.regular_file import read_text

# Stands for data, or a recipe's file, of the user's own on the command line.
DATA = "DATA"
_OPTION = "--recipe"
_ABOUT_DATA = """Data of your own: any name of TensorFlow Datasets, or a folder or file of yours.

    kd-keras distill mnist --policy digits
    kd-keras distill ./photos --image-size 64
    kd-keras distill ./photos --teacher my_teacher.keras --student mymodels.py:build
    kd-keras distill ./reviews.csv

A folder holds <class>/*.jpg, or train/<class>/*.jpg with test/ and validation/ where there are any.
Texts are <class>/*.txt or a CSV file with the columns text and label; masks are image/*.png and
label/*.png of the same names. Recordings are <class>/*.wav; where they are called
<speaker>_nohash_<number>.wav, nobody is heard in two parts of the data.
What the options begin with is of the kind of the data.
With --recipe FILE the options begin as the file says, which --print-recipe wrote."""


@dataclasses.dataclass(frozen=True)
class Own:
    """A recipe that is none of the named ones.

    Attributes:
        recipe: What the options begin with.
        name: What the folder of the results is called by.
    """

    recipe: recipes.Recipe
    name: str


def own_recipe(arguments: Sequence[str]) -> tuple[list[str], Own | None]:
    """Return a command line in the words of the parser, and the recipe that it begins with.

    Args:
        arguments: A command that takes recipes, and what follows it.

    Returns:
        The arguments with "DATA" in the place of data or a file, and the recipe; the arguments as
        they are, and None, where they name a recipe.

    Raises:
        ValueError: If a recipe's file cannot be read, a word is a mistyped recipe's name, or
            options stand before the data.
    """
    command, rest = arguments[0], list(arguments[1:])
    file = _taken(rest)
    word = rest.pop(0) if rest and not rest[0].startswith("-") else None
    if file is not None:
        recipe, name = _read(file), Path(file).stem
        if word is not None:
            recipe = dataclasses.replace(recipe, dataset=_dataset(word))
            name = folder_name(word)
        return [command, DATA, *rest], Own(recipe, name)
    if word is None and rest and {"-h", "--help"}.isdisjoint(rest):
        _refuse_options_first(command, rest)
    if word is None or word == DATA or word in recipes.NAMED:
        return list(arguments), None
    _refuse_mistyped(command, word)
    recipe = recipes.recipe_for(word)
    return [command, DATA, *rest], Own(recipe, folder_name(word))


def one_of_recipes(make_default: Callable[[recipes.Recipe, str], Job], own: Own | None) -> Any:
    """Return the type of a command that takes the name of a recipe and then its options.

    Args:
        make_default: Returns the command's options for a recipe and its name.
        own: A recipe of the user's own.
    """
    jobs = []
    for name, make in recipes.NAMED.items():
        description = inspect.getdoc(inspect.getmodule(make))
        jobs.append(_subcommand(name, make_default(make(), name), description))
    own = own or Own(recipes.Recipe(dataset=DATA, teacher="resnet20", student="resnet8"), DATA)
    jobs.append(_subcommand(DATA, make_default(own.recipe, own.name), _ABOUT_DATA))
    return Union[tuple(jobs)]  # noqa: UP007


def _subcommand(name: str, default: Job, description: str | None) -> Any:
    subcommand = tyro.conf.subcommand(name, default=default, description=description)
    return Annotated[type(default), subcommand]


def _taken(rest: list[str]) -> str | None:
    """Take `--recipe FILE` out of the arguments and return the file."""
    for place, word in enumerate(rest):
        if word.startswith(f"{_OPTION}="):
            del rest[place]
            return word.removeprefix(f"{_OPTION}=")
        if word == _OPTION:
            if place + 1 == len(rest):
                raise ValueError(f"{_OPTION} takes a file, which --print-recipe writes.")
            file = rest[place + 1]
            del rest[place : place + 2]
            return file
    return None


def _read(file: str) -> recipes.Recipe:
    try:
        return recipes.Recipe.from_json(read_text(Path(file).expanduser()))
    except OSError as error:
        raise ValueError(
            f"{_OPTION} cannot be read: {error.strerror or error}. Received: {file!r}. Write one "
            "with `kd-keras distill digits --print-recipe > my_recipe.json`."
        ) from error
    except ValueError as error:
        raise ValueError(f"{_OPTION} {file!r} is no recipe: {error}") from error


def _dataset(word: str) -> str:
    return recipes.NAMED[word]().dataset if word in recipes.NAMED else word


def _refuse_options_first(command: str, rest: Sequence[str]) -> None:
    """Raise where options stand before the data, with the data in their place if they come last."""
    last = rest[-1]
    is_last = last in recipes.NAMED or (not last.startswith("-") and Path(last).is_dir())
    words = [rest[-1], *rest[:-1]] if is_last else [DATA, *rest]
    raise ValueError(
        f"the data, or a recipe's name, come before the options, as in `kd-keras {command} "
        f"{shlex.join(words)}`. Received: {rest[0]!r} first"
    )


def _refuse_mistyped(command: str, word: str) -> None:
    """Raise where a word is near to a recipe's name. What there is of TFDS is not known here."""
    close = difflib.get_close_matches(word, recipes.NAMED, n=1)
    if close and not word.startswith(close[0]) and not Path(word).is_dir():
        raise ValueError(
            f"there is no {word!r}, only {', '.join(recipes.NAMED)}, names of TensorFlow Datasets "
            f"and folders. Did you mean `kd-keras {command} {close[0]}`?"
        )
