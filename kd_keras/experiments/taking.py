"""Whether a teacher in a file of the user's own is taken as it is, or is to be trained."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from kd_keras import evaluate
from kd_keras.experiments import networks
from kd_keras.network_files import load_network, network_file
from kd_keras.recipes.recipe import Recipe
from kd_keras.recipes.stage import Stage, is_file
from kd_keras.report.saying import say

# What images are usually brought to in front of a network.
_USUAL_RANGES = ((0.0, 255.0), (0.0, 1.0), (-1.0, 1.0))
_NOTABLE = 0.1  # nats
_CLEARLY = 0.1  # of all images
_KNOWING = 0.25  # of the way from chance to always right
_NEVERTHELESS = "--train-teacher no takes it as it is nevertheless"

Scores = Mapping[tuple[float, float], tuple[float, float]]


def may_be_taken(recipe: Recipe, stage: Stage) -> bool:
    """Whether a recipe wants a network taken as it is, if its answers allow it."""
    return stage.is_teacher and (
        recipe.train_teacher == "no" or (recipe.train_teacher == "auto" and is_file(stage.network))
    )


def is_taken_as_it_is(material: Any, stage: Stage, console: Console) -> bool:
    """Whether a teacher teaches as it is, without a training; says so, and how good it is.

    Args:
        material: The `kd_keras.experiments.stages.Material`.
        stage: The teacher's; of other networks it is not so.
        console: Where it is said.

    Raises:
        ValueError: As `refuse_unfit_teacher`.
    """
    if not may_be_taken(material.recipe, stage):
        return False
    refuse_unfit_teacher(material, stage)
    scores = material.scores(stage)
    right, fit = scores[stage.value_range]
    low, high = best = _best(scores)
    say(console, f"{stage.title}: taken as it is, {_share(right)}", bold=right < _knowing(material))
    if fit > scores[best][1] + _NOTABLE:
        say(
            console,
            f"{stage.title}: with images in {low:g} to {high:g} its probabilities fit the labels "
            f"better (NLL {scores[best][1]:.2f}, not {fit:.2f}). If it was trained so, pass "
            f"--teacher-value-range {low:g} {high:g}",
            bold=True,
        )
    return True


def refuse_unfit_teacher(material: Any, stage: Stage) -> None:
    """Raise where a teacher of the user's own, to be taken as it is, seems not to know the data.

    Nothing is refused that the recipe's `train_teacher` decides. Writes nothing, so that a run can
    be begun anew with what the error advises.

    Args:
        material: The `kd_keras.experiments.stages.Material`.
        stage: The teacher's.

    Raises:
        ValueError: If it answers by chance, or clearly better with images of another range.
    """
    recipe = material.recipe
    if recipe.train_teacher != "auto" or not may_be_taken(recipe, stage):
        return
    scores = material.scores(stage)
    right, fit = scores[stage.value_range]
    low, high = best = _best(scores)
    better, better_fit = scores[best]
    knowing = _knowing(material)
    # Images of another range leave some answers right, with probabilities worse than guessing.
    guessing = math.log(max(material.splits.info.num_classes, 2))
    is_clear = better > right + _CLEARLY or (better >= right and better_fit < guessing < fit)
    received = f"Received: {stage.role}={stage.network!r}."
    of = f"with images in {stage.value_range[0]:g} to {stage.value_range[1]:g}"
    if is_clear and better >= knowing:
        raise ValueError(
            f"`{stage.role}` gets {_share(right)} {of} (NLL {fit:.2f}), and {_share(better)} with "
            f"images in {low:g} to {high:g} (NLL {better_fit:.2f}). {received} Pass "
            f"teacher_value_range=({low:g}, {high:g}) (--teacher-value-range {low:g} {high:g} on "
            f"the command line); {_NEVERTHELESS}."
        )
    if right < knowing:
        tried = ", ".join(f"{low:g} to {high:g}" for low, high in scores)
        raise ValueError(
            f"`{stage.role}` gets {_share(right)} {of}, which is near chance. {received} Usual "
            f"causes: it takes images in another range (tried: {tried}; --teacher-value-range), or "
            "prepared in another way, or its classes are in another order than the data's, "
            f"{_first_of(material.splits.info.class_names)}: give a function that returns a "
            "network with the preparation and the order in it, as in mymodels.py:build, and "
            "--train-teacher no. If its weights are untrained, --train-teacher yes trains them "
            f"first; {_NEVERTHELESS}."
        )


def teacher_scores(material: Any, stage: Stage) -> Scores:
    """Return accuracy and NLL of a teacher on the validation split, by the range of the images.

    Of a file the usual ranges are tried beside the recipe's.
    """
    splits = material.splits
    networks_of = {stage.value_range: material.build(stage)}
    of_images = splits.info.task == "image" and is_file(stage.network)
    for value_range in _USUAL_RANGES if of_images else ():
        if value_range != stage.value_range:
            own = load_network(network_file(stage.network, stage.role), stage.role)
            if networks.takes_whole_numbers(own):
                break
            other: Stage = dataclasses.replace(stage, value_range=value_range)
            networks_of[value_range] = networks.fitted(own, other, splits.info)
    scores = {}
    for value_range, fitted in networks_of.items():
        logits, labels = evaluate.predict_logits(fitted, splits.validation)
        scores[value_range] = (
            evaluate.accuracy(logits, labels),
            evaluate.cross_entropy(logits, labels),
        )
    return scores


def _best(scores: Scores) -> tuple[float, float]:
    """Return the range with which its probabilities fit the labels best."""
    return min(scores, key=lambda value_range: scores[value_range][1])


def _knowing(material: Any) -> float:
    """Return the accuracy of a teacher that knows something of the data.

    Untrained networks are often right on more than chance: what looks alike gets one answer.
    """
    chance = 1.0 / max(material.splits.info.num_classes, 2)
    return chance + _KNOWING * (1.0 - chance)


def _share(right: float) -> str:
    return f"{100 * right:.2f} % of the validation split right"


def _first_of(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:4])}{', ...' if len(names) > 4 else ''}"
