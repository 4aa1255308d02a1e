"""Digits: a ResNet-20 teaches a ResNet-8 of quarter width, on the 8x8 images that are shipped.

Run it with `kd-keras distill digits`; it took 131 to 162 s on two CPU cores, examination included.
Accuracy on the 300 test images, seeds 0, 1 and 2 (`--seed`): teacher 97.7, 98.0 and 98.3 %,
student alone 93.0, 91.0 and 94.0 %, distilled student 96.0, 94.0 and 92.3 %, as int8 file 96.7,
94.0 and 92.3 %. Distillation gained 1.4 points in the mean, and lost in one of three runs: one
image is a third of a point. The student and its number of epochs were chosen on the validation
split.
"""

from __future__ import annotations

from kd_keras.recipes.recipe import Recipe


def digits() -> Recipe:
    """Return the recipe of `kd-keras distill digits`."""
    return Recipe(
        dataset="digits",
        teacher="resnet20",
        student="resnet8x4",
        policy="digits",
        temperature=4.0,
        student_loss_weight=0.1,
        teacher_epochs=20,
        epochs=10,
        batch_size=64,
        teacher_learning_rate=0.1,
        learning_rate=0.1,
        weight_decay=5e-4,
    )
