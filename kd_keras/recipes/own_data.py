"""The recipe that data of the user's own begin with: one of their kind. Imports no TensorFlow."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

from kd_keras.recipes.cifar10 import cifar10
from kd_keras.recipes.digits import digits
from kd_keras.recipes.membrane import membrane
from kd_keras.recipes.recipe import Recipe
from kd_keras.recipes.spoken_digit import spoken_digit
from kd_keras.recipes.sst2 import sst2

# By the name that the command line knows them by.
NAMED = {recipe.__name__: recipe for recipe in (digits, cifar10, spoken_digit, sst2, membrane)}
# Files of what is learnt as in a named recipe, by their suffix.
_KINDS: dict[str, Callable[[], Recipe]] = {
    ".txt": sst2,
    ".csv": sst2,
    ".tsv": sst2,
    ".wav": spoken_digit,
}
_MOST_FILES = 1000
# Most files of one's own are fewer than what the named recipes were chosen for.
_LEAST_EPOCHS, _LARGEST_BATCH = 10, 64


def recipe_for(dataset: str) -> Recipe:
    """Return what a run on a dataset begins with, before any option.

    Data that a named recipe is of, or that are generated in their place, begin as it does, and so
    do files of the same kind, as far as networks, policy and optimizer go; everything else is
    images, which a ResNet-20 and a ResNet-8 learn.

    Args:
        dataset: A name of TensorFlow Datasets, or the path of a folder or file.

    Example:

    >>> from kd_keras.recipes import recipe_for
    >>> recipe_for("glue/sst2").student == recipe_for("./reviews.csv").student
    True
    >>> recipe_for("mnist").student
    'resnet8'
    """
    for make in NAMED.values():
        recipe, generated = make(), make().smoke(without_files=True)
        if dataset == recipe.dataset:
            return recipe
        if dataset == generated.dataset:
            like = dataclasses.replace(recipe, image_size=generated.image_size)
            return _of_few(like, dataset)
    make_like = _kind_of(Path(dataset).expanduser())
    if make_like is not None:
        return _of_few(make_like(), dataset)
    return Recipe(dataset=dataset, teacher="resnet20", student="resnet8")


def _of_few(recipe: Recipe, dataset: str) -> Recipe:
    """Return a recipe for a dataset of few examples: with enough steps to learn anything."""
    return dataclasses.replace(
        recipe,
        dataset=dataset,
        teacher_epochs=max(recipe.teacher_epochs, _LEAST_EPOCHS),
        epochs=max(recipe.epochs, _LEAST_EPOCHS),
        batch_size=min(recipe.batch_size, _LARGEST_BATCH),
    )


def _kind_of(path: Path) -> Callable[[], Recipe] | None:
    """Return the named recipe whose data are of the kind of a path, as far as names tell."""
    if path.suffix.lower() in _KINDS:
        return _KINDS[path.suffix.lower()]
    seen = 0
    for folder, folders, files in os.walk(path):
        folders.sort()
        if folder == str(path) and {"image", "label"} <= set(folders):
            return membrane
        kinds = {Path(name).suffix.lower() for name in files if not name.startswith(".")}
        # Beside folders of classes there may lie a README.txt.
        for suffix in sorted(kinds) if folder != str(path) else ():
            if suffix in _KINDS:
                return _KINDS[suffix]
        seen += len(files)
        if seen > _MOST_FILES:
            break
    return None
