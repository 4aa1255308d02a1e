"""Spoken digits: a ResNet teaches a smaller one of 20,146 parameters, on six people's recordings.

Run it with `kd-keras distill spoken_digit --data-dir DIR`. One speaker is for test and one for
validation. On the latter, seed 0, the teacher had 93.40 % and the student alone 87.00 %; runs on
the test speaker with several seeds are not published yet.
"""

from __future__ import annotations

from kd_keras.recipes.recipe import Recipe


def spoken_digit() -> Recipe:
    """Return the recipe of `kd-keras distill spoken_digit`."""
    return Recipe(
        dataset="spoken_digit",
        teacher="audio_resnet8",
        student="audio_resnet8x8",
        policy="speech",
        temperature=4.0,
        student_loss_weight=0.1,
        teacher_epochs=14,
        epochs=10,
        batch_size=32,
        optimizer="adam",
        teacher_learning_rate=4e-3,
        learning_rate=5e-3,
        weight_decay=1e-4,
    )
