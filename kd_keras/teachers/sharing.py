"""Freeze a teacher without freezing anything of the student's."""

from __future__ import annotations

from typing import Any

import keras

from kd_keras.compat.model import flat_layers

# Layers whose other weights move in training, and stop moving when the layer is frozen.
_MOVING = (keras.layers.BatchNormalization, keras.layers.SpectralNormalization)


def freeze(teacher: Any, student: Any) -> None:
    """Set `teacher.trainable = False`, refusing a teacher that shares what trains in the student.

    Freezing a shared layer would freeze it in the student too, silently. Shared layers in which
    nothing trains stay as they are: vocabularies, normalisations with fixed statistics, dropout,
    embeddings that the user froze.

    Args:
        teacher: The `keras.Model` or `keras.Layer` that teaches.
        student: The `keras.Model` that learns.

    Raises:
        ValueError: If a layer that trains (or may, as it is not built yet) belongs to both.
    """
    as_they_are = [(layer, layer.trainable) for layer in refuse_shared(teacher, student)]
    teacher.trainable = False
    for layer, trainable in as_they_are:
        layer.trainable = trainable


def refuse_shared(teacher: Any, student: Any) -> list[Any]:
    """Return the layers that belong to both, or raise `ValueError` where one of them trains.

    Args:
        teacher: As for `freeze`.
        student: As for `freeze`.
    """
    ours = {id(layer) for layer in flat_layers(student)}
    layers = [layer for layer in flat_layers(teacher) if id(layer) in ours]
    weights = {id(weight) for weight in teacher.weights} & {id(w) for w in student.weights}
    shared = sorted(layer.name for layer in layers if _trains(layer, weights))
    if shared:
        raise ValueError(
            "`teacher` and `student` must not share layers that train: freezing the teacher would "
            f"freeze them in the student too. Received models that share: {shared}. Build the "
            "student from layers of its own, or teach it with `keras.models.clone_model(teacher)` "
            "and the teacher's weights."
        )
    return layers


def _trains(layer: Any, shared_weights: set[int]) -> bool:
    if isinstance(layer, _MOVING):
        return bool(layer.trainable)
    own = _own_weights(layer)
    if not layer.built:
        # Layers that only preprocess are often not built before they are called.
        return not isinstance(layer, _WITHOUT_WEIGHTS)
    return any(id(weight) in shared_weights and weight.trainable for weight in own)


def _own_weights(layer: Any) -> list[Any]:
    """Return the weights of `layer` but not of its sublayers, which are looked at one by one."""
    inner = {id(w) for part in flat_layers(layer, include_self=False) for w in part.weights}
    return [weight for weight in layer.weights if id(weight) not in inner]


_WITHOUT_WEIGHTS = (
    keras.layers.InputLayer,
    keras.layers.Normalization,
    keras.layers.Rescaling,
    keras.layers.Resizing,
    keras.layers.CenterCrop,
    keras.layers.TextVectorization,
    keras.layers.StringLookup,
    keras.layers.IntegerLookup,
    keras.layers.Hashing,
    keras.layers.Discretization,
    keras.layers.CategoryEncoding,
    keras.layers.Dropout,
    keras.layers.Activation,
    keras.layers.Flatten,
    keras.layers.Reshape,
)
