"""Spoken digits: tbd."""

from __future__ import annotations

from kd_keras.recipes.recipe import Recipe


def spoken_digit() -> Recipe:
    """Return the recipe of `kd-keras distill spoken_digit`."""
    return Recipe(
        dataset="spoken_digit",
        teacher="audio_resnet8",
        student="audio_resnet8x4",
        policy="speech",
        temperature=4.0,
        student_loss_weight=0.1,
        teacher_epochs=14,
        epochs=12,
        batch_size=32,
        optimizer="adam",
        teacher_learning_rate=4e-3,
        learning_rate=5e-3,
        weight_decay=1e-4,
    )
