"""Whether a teacher in a file of the user's own is taken as it is, or is to be trained."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
from rich.console import Console

from kd_keras import evaluate
from kd_keras.experiments import networks
from kd_keras.network_files import load_network, network_file
from kd_keras.recipes.stage import Stage, is_file
from kd_keras.report.saying import say

# What images are usually brought to in front of a network.
_USUAL_RANGES = ((0.0, 255.0), (0.0, 1.0), (-1.0, 1.0))
_NOTABLE = 0.1  # nats
_KNOWING = 0.25  # of the way from chance to always right


def is_taken_as_it_is(stage: Stage, network: keras.Model, material: Any, console: Console) -> bool:
    """Whether the teacher teaches as it is, without a training; says so, and how good it is.

    Args:
        stage: The teacher's.
        network: The teacher, fitted to the data.
        material: The `kd_keras.experiments.stages.Material`.
        console: Where it is said.

    Raises:
        ValueError: If it answers by chance and would not with images of another range.
    """
    recipe, splits = material.recipe, material.splits
    is_new = not is_file(stage.network)
    if recipe.train_teacher == "yes" or (recipe.train_teacher == "auto" and is_new):
        return False
    scores = _scores(stage, network, material)
    right, fit = scores[stage.value_range]
    chance = 1.0 / max(splits.info.num_classes, 2)
    share = f"{100 * right:.2f} % of the validation split right"
    # Untrained networks are often right on more than chance: what looks alike gets one answer.
    knowing = chance + _KNOWING * (1.0 - chance)
    best = min(scores, key=lambda value_range: scores[value_range][1])
    low, high = best
    if recipe.train_teacher == "no" or right >= knowing:
        say(console, f"{stage.title}: taken as it is, {share}")
        if fit > scores[best][1] + _NOTABLE:
            say(
                console,
                f"{stage.title}: with images in {low:g} to {high:g} its probabilities fit the "
                f"labels better (NLL {scores[best][1]:.2f}, not {fit:.2f}). If it was trained so, "
                f"pass --teacher-value-range {low:g} {high:g}",
                bold=True,
            )
        return True
    if scores[best][0] >= knowing:
        raise ValueError(
            f"`teacher` gets {share}, which is near chance, with images in "
            f"{stage.value_range[0]:g} to {stage.value_range[1]:g}; with images in {low:g} to "
            f"{high:g} it gets {100 * scores[best][0]:.2f} %. Received: teacher={stage.network!r}. "
            f"Pass teacher_value_range=({low:g}, {high:g}) (--teacher-value-range {low:g} {high:g} "
            "on the command line)."
        )
    say(
        console,
        f"{stage.title}: {share}, which is near chance, so its weights are taken for untrained "
        f"ones and it is trained for {stage.epochs} epochs. If they are trained, its classes are "
        "in another order or its images are prepared in another way: give a function that returns "
        "the whole network, as in mymodels.py:build, with --train-teacher no",
        bold=True,
    )
    return False


def _scores(
    stage: Stage, network: keras.Model, material: Any
) -> dict[tuple[float, float], tuple[float, float]]:
    """Return accuracy and NLL on the validation split, by the range of the images.

    Of a file the usual ranges are tried beside the recipe's.
    """
    splits = material.splits
    networks_of = {stage.value_range: network}
    for value_range in _USUAL_RANGES if is_file(stage.network) else ():
        if value_range != stage.value_range:
            own = load_network(network_file(stage.network, stage.role), stage.role)
            other = dataclasses.replace(stage, value_range=value_range)
            networks_of[value_range] = networks.fitted(own, other, splits.info)
    scores = {}
    for value_range, fitted in networks_of.items():
        logits, labels = evaluate.predict_logits(fitted, splits.validation)
        scores[value_range] = (
            evaluate.accuracy(logits, labels),
            evaluate.cross_entropy(logits, labels),
        )
    return scores
