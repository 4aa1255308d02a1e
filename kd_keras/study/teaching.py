"""What a study's names of distillation mean: losses, their published weights, and how they add."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from keras.optimizers.schedules import PolynomialDecay

from kd_keras import losses
from kd_keras.recipes.recipe import Recipe

# Decoupled distillation warms up over 20 of its 240 published epochs.
_WARM_UP = 20 / 240
# The taps of `kd_keras.models`' convolutional networks.
_STAGES = ("stage1_out", "stage2_out", "stage3_out")


@dataclasses.dataclass(frozen=True)
class Teaching:
    """The arguments of a `Distiller` that say how its teacher teaches."""

    losses: list[Any]
    weights: list[Any]
    student_loss_weight: float
    combine: str


def teaching(name: str, recipe: Recipe, steps_per_epoch: int) -> Teaching:
    """Return how a distillation teaches.

    With the recipe's share w of the labels: w * student loss + (1 - w) * KL at the recipe's
    temperature is "kl"; "<loss>+kl" adds the loss with its published weight. The others take the
    place of the KL divergence, with the share of the student's loss that was published with them.

    Args:
        name: One of `kd_keras.study.grid.Distillation` but "none".
        recipe: Says temperature, share of the labels and epochs.
        steps_per_epoch: To know when a warm-up is over.

    Raises:
        ValueError: If a loss is to be added to the KL divergence and the recipe has none.
    """
    share = recipe.student_loss_weight
    if name.endswith("+kl"):
        if share == 1:
            raise ValueError(
                f"The distillation {name!r} adds to the KL divergence, which has no weight with "
                "student_loss_weight=1. Choose a `student_loss_weight` below 1."
            )
        added, weight = _ADDED[name.removesuffix("+kl")]
        parts = added()
        # The Distiller multiplies all of them by 1 - w; the published weight stands beside that.
        weights = [1.0, *[weight / (1 - share)] * len(parts)]
        return Teaching([losses.KLDivergence(recipe.temperature), *parts], weights, share, "convex")
    if name == "decoupled_kd":
        steps = max(1, round(_WARM_UP * recipe.epochs * steps_per_epoch))
        warm_up = PolynomialDecay(0.0, decay_steps=steps, end_learning_rate=1.0)
        loss = losses.DecoupledKD(recipe.temperature, alpha=1.0, beta=2.0)
        return Teaching([loss], [warm_up], 0.5, "sum")
    if name == "dist":
        return Teaching([losses.DIST(4.0, beta=2.0, gamma=2.0)], [1.0], 0.5, "sum")
    if name == "standardized_kl":
        # 9 beside 0.1 for the student's loss.
        return Teaching([losses.StandardizedKL(2.0)], [10.0], share, "convex")
    loss = losses.LogitsMSE() if name == "logits_mse" else losses.KLDivergence(recipe.temperature)
    return Teaching([loss], [1.0], share, "convex")


def _attention() -> list[Any]:
    # The published weight is of each of the stages, whose losses add up.
    return [
        losses.AttentionTransfer(teacher_layer_name=tap, student_layer_name=tap) for tap in _STAGES
    ]


def _similarity() -> list[Any]:
    last = _STAGES[-1]
    return [losses.SimilarityPreserving(teacher_layer_name=last, student_layer_name=last)]


def _relational() -> list[Any]:
    return [losses.RelationalKD(teacher_layer_name="features", student_layer_name="features")]


def _hint() -> list[Any]:
    return [losses.Hint(teacher_layer_name=_STAGES[1], student_layer_name=_STAGES[1])]


# Losses beside the KL divergence, with their weights of RepDistiller. There 100 belongs to a hint
# whose adapter ends in batch normalisation; with ours, which is linear, it diverges.
_ADDED: dict[str, tuple[Callable[[], list[Any]], float]] = {
    "attention": (_attention, 1000.0),
    "similarity": (_similarity, 3000.0),
    "relational": (_relational, 1.0),
    "hint": (_hint, 1.0),
}
