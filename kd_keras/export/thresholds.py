"""Whether a file that was verified is good enough."""

from __future__ import annotations

from dataclasses import dataclass

from kd_keras.arguments import check_number
from kd_keras.export.checking import Verification


@dataclass(frozen=True)
class Miss:
    """A threshold that a file does not reach.

    Attributes:
        threshold: Its name: "min_accuracy", "min_agreement" or "max_difference".
        stated: What was asked for.
        measured: What was found.
    """

    threshold: str
    stated: float
    measured: float

    def __str__(self) -> str:
        what = {
            "min_accuracy": "the accuracy is",
            "min_agreement": "the agreement with the student is",
            "max_difference": "the largest difference from the student is",
        }[self.threshold]
        side = "below" if self.measured < self.stated else "above"
        return (
            f"{what} {self.measured:.6g}, which is {abs(self.measured - self.stated):.3g} {side} "
            f"{self.threshold}={self.stated:g}"
        )


def missed(
    verification: Verification,
    *,
    min_accuracy: float | None = None,
    min_agreement: float | None = None,
    max_difference: float | None = None,
) -> tuple[Miss, ...]:
    """Return the thresholds that a file misses; none if it is good enough.

    Args:
        verification: What `verify` returned.
        min_accuracy: Least accuracy, 0..1.
        min_agreement: Least top-1 agreement with the student, 0..1.
        max_difference: Largest difference allowed between an output of the file and the student's.

    Raises:
        ValueError: If a threshold is out of its range, or needs the student and there was none.

    Example:

    >>> import keras, kd_keras, tensorflow as tf
    >>> student = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),
    ...                             keras.layers.Dense(10)])
    >>> result = kd_keras.export.to_tflite(student, "student.tflite")
    >>> test = tf.data.Dataset.from_tensors((tf.zeros((5, 8, 8, 1), tf.uint8), [0, 0, 0, 3, 4]))
    >>> verification = kd_keras.export.verify("student.tflite", test)
    >>> print(*kd_keras.export.missed(verification, min_accuracy=0.9))
    the accuracy is 0.6, which is 0.3 below min_accuracy=0.9
    """
    check_thresholds(
        verification.student is not None,
        min_accuracy=min_accuracy,
        min_agreement=min_agreement,
        max_difference=max_difference,
    )
    found = []
    if min_accuracy is not None and verification.accuracy < min_accuracy:
        found.append(Miss("min_accuracy", min_accuracy, verification.accuracy))
    student = verification.student
    if student is not None:
        if min_agreement is not None and student.agreement < min_agreement:
            found.append(Miss("min_agreement", min_agreement, student.agreement))
        if max_difference is not None and student.largest_difference > max_difference:
            found.append(Miss("max_difference", max_difference, student.largest_difference))
    return tuple(found)


def check_thresholds(
    has_student: bool,
    *,
    min_accuracy: float | None,
    min_agreement: float | None,
    max_difference: float | None,
) -> None:
    """Raise unless the thresholds can be judged; before long work as well as after it."""
    for name, share in (("min_accuracy", min_accuracy), ("min_agreement", min_agreement)):
        if share is not None:
            check_number(name, share, low=0, high=1, remedy="It is a share, such as 0.95.")
    if max_difference is not None:
        check_number("max_difference", max_difference, low=0)
    for name, value in (("min_agreement", min_agreement), ("max_difference", max_difference)):
        if value is not None and not has_student:
            raise ValueError(
                f"`{name}` compares the file with its student. Pass `student`, or leave it out. "
                f"Received: {name}={value!r} without a student"
            )
