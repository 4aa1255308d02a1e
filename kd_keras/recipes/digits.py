"""placeholder docstring, rewritten after measuring."""

from __future__ import annotations

from kd_keras.recipes.recipe import Recipe


def digits() -> Recipe:
    """Return the recipe of `kd-keras distill digits`."""
    return Recipe(
        dataset="digits",
        teacher="resnet20",
        student="resnet8x2",
        policy="digits",
        temperature=4.0,
        student_loss_weight=0.1,
        teacher_epochs=20,
        epochs=20,
        batch_size=64,
        teacher_learning_rate=0.1,
        learning_rate=0.1,
        weight_decay=5e-4,
    )
