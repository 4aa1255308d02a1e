"""Whether a teacher in a file of the user's own is taken as it is, or is to be trained."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
from rich.console import Console

from kd_keras import evaluate
from kd_keras.network_files import load_network, network_file
from kd_keras.recipes.stage import Stage, is_file
from kd_keras.run import networks
from kd_keras.run.saying import say
from kd_keras.training.suspicion import deviations_of_chance

# What images are usually brought to in front of a network.
_USUAL_RANGES = ((0.0, 255.0), (0.0, 1.0), (-1.0, 1.0))


def is_taken_as_it_is(stage: Stage, network: keras.Model, material: Any, console: Console) -> bool:
    """Whether the teacher teaches as it is, without a training; says so, and how good it is.

    Args:
        stage: The teacher's.
        network: The teacher, fitted to the data.
        material: The `kd_keras.run.stages.Material`.
        console: Where it is said.

    Raises:
        ValueError: If it answers by chance and would not with images of another range.
    """
    recipe, splits = material.recipe, material.splits
    is_new = not is_file(stage.network)
    if recipe.train_teacher == "yes" or (recipe.train_teacher == "auto" and is_new):
        return False
    right = evaluate.accuracy(*evaluate.predict_logits(network, splits.validation))
    share = f"{100 * right:.2f} % of the validation split right"
    knows_something = right >= _chance(splits)
    if recipe.train_teacher == "no" or knows_something:
        say(console, f"{stage.title}: taken as it is, {share}")
        return True
    better = {} if is_new else _better_ranges(stage, material)
    if better:
        (low, high), accuracy = max(better.items(), key=lambda item: item[1])
        raise ValueError(
            f"`teacher` gets {share}, which is chance, with images in "
            f"{stage.value_range[0]:g} to {stage.value_range[1]:g}; with images in {low:g} to "
            f"{high:g} it gets {100 * accuracy:.2f} %. Received: teacher={stage.network!r}. Pass "
            f"teacher_value_range=({low:g}, {high:g}) (--teacher-value-range {low:g} {high:g} on "
            "the command line)."
        )
    say(
        console,
        f"{stage.title}: {share}, which is chance, so its weights are taken for untrained ones and "
        f"it is trained for {stage.epochs} epochs. If they are trained, its classes are in another "
        "order or its images are prepared in another way: give a function that returns the whole "
        "network, as in mymodels.py:build, with --train-teacher no",
        bold=True,
    )
    return False


def _chance(splits: Any) -> float:
    classes, examples = splits.info.num_classes, splits.info.validation_examples
    return 1.0 / max(classes, 2) + deviations_of_chance(classes, examples)


def _better_ranges(stage: Stage, material: Any) -> dict[tuple[float, float], float]:
    """Return the accuracy with images of other ranges, where it is better than chance."""
    splits = material.splits
    found = {}
    for value_range in _USUAL_RANGES:
        if value_range == stage.value_range:
            continue
        own = load_network(network_file(stage.network, stage.role), stage.role)
        other = dataclasses.replace(stage, value_range=value_range)
        network = networks.fitted(own, other, splits.info)
        accuracy = evaluate.accuracy(*evaluate.predict_logits(network, splits.validation))
        if accuracy >= _chance(splits):
            found[value_range] = accuracy
    return found
