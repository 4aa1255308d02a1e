"""A teacher that only infers: nothing of it ever moves."""

from __future__ import annotations

from typing import Any


def freeze(teacher: Any, student: Any) -> None:
    """Set `teacher.trainable = False`, refusing a teacher that shares weights with the student.

    Freezing a shared layer would freeze it in the student too, silently.

    Args:
        teacher: The `keras.Model` or `keras.Layer` that teaches.
        student: The `keras.Model` that learns.

    Raises:
        ValueError: If a layer with weights (or one that is not built yet) belongs to both.
    """
    layers = set(teacher._flatten_layers()) & set(student._flatten_layers())
    weights = {id(weight) for weight in teacher.weights} & {id(w) for w in student.weights}
    shared = sorted(
        layer.name
        for layer in layers
        if not layer.built or any(id(weight) in weights for weight in _own_weights(layer))
    )
    if shared:
        raise ValueError(
            "`teacher` and `student` must not share layers: freezing the teacher would freeze them "
            f"in the student too. Received models that share: {shared}. Build the student from "
            "layers of its own, or teach it with `keras.models.clone_model(teacher)` and the "
            "teacher's weights."
        )
    teacher.trainable = False


def _own_weights(layer: Any) -> list[Any]:
    """Return the weights of `layer` but not of its sublayers, which are looked at one by one."""
    inner = {id(w) for part in layer._flatten_layers(include_self=False) for w in part.weights}
    return [weight for weight in layer.weights if id(weight) not in inner]
