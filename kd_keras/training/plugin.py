"""A part of the training step that owns something of the batch, or learns from the step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from kd_keras.training.batch import Answer, Batch


class Results(NamedTuple):
    """What a step knows when its gradients have been applied.

    Attributes:
        batch: The views that the networks saw.
        teacher: What the teacher said of them; its `outputs`, `logits` and `lesson` alone.
        student: What the student said of them; its `outputs` and `logits` alone.
        losses: The parts of the loss, a `kd_keras.training.objective.Losses`.
    """

    batch: Batch
    teacher: Answer | None
    student: Answer
    losses: Any


class Plugin:
    """A part of the step that is not there in every training.

    Plain objects, so that Keras does not track what is in them. What must be saved and restored
    with the model stands in `layers`, what is logged in `metrics`.
    """

    # Layers that hold what the part has learnt, and metrics that only training moves.
    layers: Sequence[Any] = ()
    metrics: Sequence[Any] = ()
    # Extras of `accept` that belong to a place in the batch, not to the example that came there:
    # they stay where they are when an augmentation reorders the rows.
    stays_in_place: frozenset[str] = frozenset()

    def accept(self, batch: Batch, step: Any) -> tuple[Batch, list[Any]]:
        """Take what is this part's own out of the batch's x, into its extras.

        Args:
            batch: As the data gave it.
            step: The count of the steps so far; `None` where nothing is trained.

        Returns:
            The batch, and assertions that training must wait for.

        Raises:
            ValueError: If what came does not fit.
        """
        return batch, []

    def step_of_views(self, step: Any) -> Any:
        """Return the step whose views are drawn at `step`."""
        return step

    def after_step(self, results: Results, step: Any) -> None:
        """Learn from a step, behind its update of the weights; in the graph, outside of XLA.

        Args:
            results: What the step gave.
            step: The count of the steps before it.
        """
