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
    shared = sorted(
        layer.name
        for layer in _leaves(teacher) & _leaves(student)
        if layer.weights or not layer.built
    )
    if shared:
        raise ValueError(
            "`teacher` and `student` must not share layers: freezing the teacher would freeze them "
            f"in the student too. Received models that share: {shared}. Build the student from "
            "layers of its own, or teach it with `keras.models.clone_model(teacher)` and the "
            "teacher's weights."
        )
    teacher.trainable = False


def _leaves(model: Any) -> set[Any]:
    return {layer for layer in model._flatten_layers() if not layer._layers}
