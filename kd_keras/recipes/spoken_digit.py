"""Spoken digits: a ResNet teaches a smaller one of 20,146 parameters, on six people's recordings.

Run it with `kd-keras distill spoken_digit --data-dir DIR`; without trials of robustness
(`--no-robustness`) it took six to seven minutes on two CPU cores, which did other work beside. One
speaker is for test and one for validation. Accuracy on the 500 recordings of the test speaker, mean
and standard deviation over the seeds 0, 1 and 2: teacher 94.00 (0.40), student alone 84.27 (6.33),
distilled student 87.40 (3.14), as int8 file 87.27 (3.06) %; the gain is 3.13 (3.19) points, at
least 1.00. With seed 0 the students ended within half a point of each other on the speaker for
validation: speakers differ. Student, policy and epochs were chosen on that one.
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
