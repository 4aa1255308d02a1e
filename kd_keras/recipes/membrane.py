"""Membrane: a U-Net teaches a small U-Net to find cell membranes in microscope images.

Run it with `kd-keras distill membrane --data-dir FOLDER`, the folder of the ISBI 2012 images: 24
images to train on, 3 and 3 to choose and to test on, in tiles of 64x64. Measured once: seed 1, with
a teacher of the same kind that was trained for 800 steps before (`--teacher FILE
--no-robustness`); the two students took 974 s on two CPU cores that other work shared. mIoU on the
test tiles: teacher 74.1 %, student alone 66.3 %, distilled student 67.2 %, as int8 file 67.1 %. One
seed says little; distillation closed 11 % of the gap.
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
        student_loss_weight=0.1,
        teacher_epochs=4,
        epochs=4,
        batch_size=8,
        optimizer="adam",
        teacher_learning_rate=0.003,
        learning_rate=0.003,
        image_size=64,
    )
