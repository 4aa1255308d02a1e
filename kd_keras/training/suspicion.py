"""Say once when a teacher is right no more often than chance, on the data that it teaches."""

from __future__ import annotations

import math
import warnings

# The share of labels that chance gives is told from more by three standard deviations, and those
# must be this small.
_DEVIATIONS, _SMALL = 3.0, 0.1


def deviations_of_chance(classes: int, examples: float) -> float:
    """Return three standard deviations of the share that chance gets right.

    Args:
        classes: How many there are; one unit counts as two.
        examples: How many were looked at.
    """
    chance = 1.0 / max(classes, 2)
    return _DEVIATIONS * math.sqrt(chance * (1.0 - chance) / max(examples, 1.0))


def better_than_chance(classes: int, examples: float) -> float:
    """Return the share of right answers from which on more than chance is at work.

    Args:
        classes: How many there are; one unit counts as two.
        examples: How many were looked at.
    """
    return 1.0 / max(classes, 2) + deviations_of_chance(classes, examples)


class Suspicion:
    """Look at the accuracy of a teacher until enough examples were seen, and then no more.

    Args:
        name: Of the teacher.
    """

    def __init__(self, name: str):
        self._name = name
        self.is_settled = False

    def look(self, accuracy: float, examples: float, classes: int) -> None:
        """Warn if `accuracy` is that of chance; settled once the number of examples tells.

        Args:
            accuracy: Share of the labels that the teacher gives itself, 0..1.
            examples: How many labels that is of.
            classes: How many classes there are.
        """
        spread = deviations_of_chance(classes, examples)
        if self.is_settled or spread > _SMALL:
            return
        self.is_settled = True
        if accuracy < better_than_chance(classes, examples):
            warnings.warn(
                f"The teacher {self._name!r} is right on {accuracy:.1%} of {examples:.0f} labels, "
                f"which is near chance for {classes} classes: it teaches nothing. Usual causes: "
                "other preprocessing or another value range than it was trained with "
                "(kd_keras.teachers.Frozen(teacher, inputs=...)), another order of the classes "
                "(Frozen(teacher, classes=[...])), weights that were not loaded.",
                UserWarning,
                stacklevel=2,
            )
