"""SST-2: tbd."""

from __future__ import annotations

from kd_keras.recipes.recipe import Recipe


def sst2() -> Recipe:
    """Return the recipe of `kd-keras distill sst2`."""
    return Recipe(
        dataset="glue/sst2",
        teacher="bigru32",
        student="textcnn16",
        policy="text",
        temperature=2.0,
        student_loss_weight=0.1,
        teacher_epochs=3,
        epochs=4,
        batch_size=256,
        optimizer="adam",
        teacher_learning_rate=2e-3,
        learning_rate=2e-3,
    )
