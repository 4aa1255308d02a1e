"""placeholder docstring, rewritten after measuring."""

from __future__ import annotations

from kd_keras.recipes.recipe import Recipe


def cifar10() -> Recipe:
    """Return the recipe of `kd-keras distill cifar10`."""
    return Recipe(
        dataset="cifar10",
        teacher="resnet20",
        student="resnet8",
        policy="standard",
        temperature=4.0,
        student_loss_weight=0.1,
        teacher_epochs=10,
        epochs=10,
        limit=20_000,
        batch_size=128,
        teacher_learning_rate=0.1,
        learning_rate=0.1,
        weight_decay=5e-4,
    )
