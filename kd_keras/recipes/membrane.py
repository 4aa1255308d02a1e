"""Membrane: a U-Net teaches a small U-Net to find cell membranes in microscope images.

Run it with `kd-keras distill membrane --data-dir FOLDER`, the folder of the ISBI 2012 images.
"""

from __future__ import annotations

from kd_keras.recipes.recipe import Recipe


def membrane() -> Recipe:
    """Return the recipe of `kd-keras distill membrane`."""
    return Recipe(
        dataset="membrane",
        teacher="unet8",
        student="unet2",
        policy="turns",
        temperature=1.0,
        student_loss_weight=0.5,
        teacher_epochs=4,
        epochs=4,
        batch_size=8,
        optimizer="adam",
        teacher_learning_rate=0.003,
        learning_rate=0.003,
        image_size=64,
    )
