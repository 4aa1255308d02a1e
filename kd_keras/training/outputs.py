"""Which outputs of several hold classes, and of what kind, by the compiled loss of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras

from kd_keras.training.labels import crossentropy_of

# Losses of outputs that are no classes: a divergence of softmaxes says nothing of them.
_REGRESSION = (
    keras.losses.MeanSquaredError,
    keras.losses.MeanAbsoluteError,
    keras.losses.MeanAbsolutePercentageError,
    keras.losses.MeanSquaredLogarithmicError,
    keras.losses.CosineSimilarity,
    keras.losses.Huber,
    keras.losses.LogCosh,
    keras.losses.Poisson,
)


class ClassOutputs(NamedTuple):
    """The outputs that losses between logits compare.

    Attributes:
        keys: Names of dict outputs, places of list outputs; `None` for one output, or for all.
        independent: Whether the units of one of them do not compete (multi-label).
    """

    keys: tuple[Any, ...] | None
    independent: bool

    def of(self, outputs: Any) -> Any:
        """Return the outputs, or what belongs to them, in the structure in which they came."""
        if self.keys is None:
            return outputs
        if isinstance(outputs, dict):
            return {key: outputs[key] for key in self.keys if key in outputs}
        if isinstance(outputs, (list, tuple)):
            return [outputs[key] for key in self.keys]
        return outputs


ALL_OUTPUTS = ClassOutputs(None, False)


def class_outputs(
    loss: Any, y: Any, teacher: Any, student: Any, terms: Sequence[Any]
) -> ClassOutputs:
    """Return which outputs are compared as classes.

    Those with a crossentropy, or a loss that nobody knows; those with labels, where one loss is for
    all; else all but the taps of losses between features, which subclassed models return in the
    same dict and which may differ.

    Args:
        loss: The compiled loss, as given.
        y: Labels, or `None`.
        teacher: The teacher's logits, any structure.
        student: The student's logits.
        terms: The distillation losses.
    """
    keys: list[Any] | None = None
    if isinstance(teacher, dict) and isinstance(student, dict):
        keys = [name for name in student if name in teacher]
        if isinstance(loss, dict):
            keys = [name for name in keys if loss.get(name) is not None]
        elif isinstance(y, dict):
            keys = [name for name in keys if name in y]
        else:
            features = [term for term in terms if not term.expects_logits]
            taps = keras.tree.flatten([(t.teacher_tap, t.student_tap) for t in features])
            keys = [name for name in keys if name not in taps]
    elif all(isinstance(part, (list, tuple)) for part in (teacher, student)):
        keys = list(range(min(len(teacher), len(student))))
    leaves = {key: _of_output(loss, key) for key in (keys or [None])}
    if keys is not None:
        keys = [key for key in keys if not _is_regression(leaves[key])]
    chosen = student if keys is None else [student[key] for key in keys]
    independent = any(
        crossentropy_of(leaf) == "BinaryCrossentropy" and logits.shape[-1] != 1
        for leaf, logits in zip(
            [leaves[key] for key in ([None] if keys is None else keys)],
            [chosen] if keys is None and not keras.tree.is_nested(chosen) else chosen,
            strict=False,
        )
        if hasattr(logits, "shape")
    )
    return ClassOutputs(None if keys is None else tuple(keys), independent)


def refuse_softmax_of_independent(terms: Sequence[Any], chosen: ClassOutputs) -> None:
    """Raise where a loss would take a softmax over labels that do not compete.

    Args:
        terms: The distillation losses.
        chosen: What `class_outputs` returned.

    Raises:
        ValueError: If there is such a loss.
    """
    for term in terms:
        suits = getattr(term.loss, "suits_independent_labels", not term.ignores_a_shift)
        if chosen.independent and term.expects_logits and term.matches_outputs and not suits:
            name = type(term.loss).__name__
            raise ValueError(
                f"{name} compares classes that compete, and the compiled binary crossentropy says "
                "that the labels are independent (multi-label). Received: it on outputs of several "
                "units. Use kd_keras.losses.BinaryKLDivergence(temperature=...), or LogitsMSE()."
            )


def _of_output(loss: Any, key: Any) -> Any:
    if isinstance(loss, dict):
        return loss.get(key) if key is not None else next(iter(loss.values()), None)
    if isinstance(loss, (list, tuple)):
        place = 0 if key is None else key
        return loss[place] if isinstance(place, int) and place < len(loss) else None
    return loss


def _is_regression(loss: Any) -> bool:
    if isinstance(loss, str):
        try:
            loss = keras.losses.get(loss)
        except ValueError:
            return False
    if isinstance(loss, _REGRESSION):
        return True
    names = {kind().name for kind in _REGRESSION}
    return getattr(loss, "__name__", None) in names
