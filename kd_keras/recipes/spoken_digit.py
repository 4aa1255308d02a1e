"""Spoken digits: a ResNet teaches a smaller one of 20,146 parameters, on six people's recordings.

Run it with `kd-keras distill spoken_digit --data-dir DIR`; without trials of robustness
(`--no-robustness`) it took 897 s on two CPU cores, which did much other work beside. One speaker is
for test and one for validation. Accuracy on the 500 recordings of the test speaker, seed 0: teacher
93.60 %, student alone 77.00 %, distilled student 83.80 %, as int8 file 83.80 %. On the speaker for
validation the students ended within half a point of each other: speakers differ. Student, policy
and epochs were chosen on that one.
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
