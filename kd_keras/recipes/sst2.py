"""SST-2: convolutions beside a bag of words teach a narrow text CNN, on phrases of film reviews.

Run it with `kd-keras distill sst2 --data-dir DIR`; RESULTS

The teacher is trained for one epoch: after three it knows the training labels by heart, and has
little more than those to say. Teacher, policy and epochs were chosen on the validation split.
"""

from __future__ import annotations

from kd_keras.recipes.recipe import Recipe


def sst2() -> Recipe:
    """Return the recipe of `kd-keras distill sst2`."""
    return Recipe(
        dataset="glue/sst2",
        teacher="bagcnn32-drop0.5",
        student="textcnn8",
        policy="word_dropout",
        temperature=2.0,
        student_loss_weight=0.1,
        teacher_epochs=1,
        epochs=6,
        batch_size=256,
        optimizer="adam",
        teacher_learning_rate=3e-3,
        learning_rate=4e-3,
    )
