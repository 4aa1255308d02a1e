"""Ways to distil that have a name: losses, their published weights, and how they add up."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from kd_keras.recipes.recipe import Recipe

Distillation = Literal[
    "kl",
    "logits_mse",
    "standardized_kl",
    "decoupled_kd",
    "dist",
    "attention+kl",
    "similarity+kl",
    "relational+kl",
    "hint+kl",
]

_STAGES = ("stage1_out", "stage2_out", "stage3_out")  # taps of `kd_keras.models`' networks


def _between(loss: str, tap: str) -> str:
    return f"{loss}(teacher_layer_name={tap!r}, student_layer_name={tap!r})"


# Losses beside the KL divergence, with their weights of RepDistiller; that of attention is of each
# of the stages. There 100 belongs to a hint whose adapter ends in batch normalisation; with ours,
# which is linear, it diverges.
_ADDED: Mapping[str, tuple[float, tuple[str, ...]]] = {
    "attention": (1000.0, tuple(_between("AttentionTransfer", tap) for tap in _STAGES)),
    "similarity": (3000.0, (_between("SimilarityPreserving", _STAGES[-1]),)),
    "relational": (1.0, (_between("RelationalKD", "features"),)),
    "hint": (1.0, (_between("Hint", _STAGES[1]),)),
}
# Those in the place of the KL divergence.
_INSTEAD: Mapping[str, Mapping[str, Any]] = {
    "kl": {"losses": ("KLDivergence",)},
    "logits_mse": {"losses": ("LogitsMSE",)},
    # 9 beside 0.1 for the student's loss.
    "standardized_kl": {"losses": ("10.0 * StandardizedKL(temperature=2.0)",)},
    # It warms up over 20 of its 240 published epochs.
    "decoupled_kd": {
        "losses": ("DecoupledKD(alpha=1.0, beta=2.0)",),
        "warm_up": 20 / 240,
        "student_loss_weight": 0.5,
        "combine": "sum",
    },
    "dist": {
        "losses": ("DIST(temperature=4.0, beta=2.0, gamma=2.0)",),
        "student_loss_weight": 0.5,
        "combine": "sum",
    },
}


def distilled_by(recipe: Recipe, name: str) -> Recipe:
    """Return a copy of a recipe that distils in one of the ways that have a name.

    With the recipe's share w of the labels: w * student loss + (1 - w) * KL at the recipe's
    temperature is "kl"; "<loss>+kl" adds the loss with its published weight. The others take the
    place of the KL divergence; "decoupled_kd" and "dist" bring the share of the labels that was
    published with them.

    Args:
        recipe: What decides all else.
        name: One of `Distillation`.

    Raises:
        ValueError: If the name is none, or a loss is to be added to the KL divergence and the
            recipe has none.

    Example:

    >>> from kd_keras.recipes import digits, distilled_by
    >>> distilled_by(digits(), "dist").losses
    ('DIST(temperature=4.0, beta=2.0, gamma=2.0)',)
    """
    from kd_keras.arguments import check_choice

    check_choice("distillation", name, get_args(Distillation))
    plain: dict[str, Any] = {"warm_up": 0.0, "combine": "convex"}
    if name in _INSTEAD:
        return dataclasses.replace(recipe, **{**plain, **_INSTEAD[name]})
    share = recipe.student_loss_weight
    if share == 1:
        raise ValueError(
            f"The distillation {name!r} adds to the KL divergence, which has no weight with "
            "student_loss_weight=1. Choose a `student_loss_weight` below 1."
        )
    weight, added = _ADDED[name.removesuffix("+kl")]
    # All are multiplied by 1 - w; the published weight stands beside that.
    terms = tuple(f"{weight / (1 - share)!r} * {loss}" for loss in added)
    return dataclasses.replace(recipe, **plain, losses=("KLDivergence", *terms))
