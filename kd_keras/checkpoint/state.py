"""What the next step of training depends on, as a list of variables."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kd_keras.compat.keras_cv_layers import generator_of
from kd_keras.compat.model import build_symbolically, flat_layers
from kd_keras.teachers.fingerprint import Fingerprint
from kd_keras.training.distiller import Distiller

# Keras numbers the names of what is made twice in a process: "dense_1" here is "dense" in the next.
_NUMBER = re.compile(r"_\d+(?=[/_]|$)")


class Described(NamedTuple):
    """How a variable is told from others."""

    part: str
    name: str
    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.name!r} of shape {self.shape}, {self.dtype}"


class Part(NamedTuple):
    """Variables that stand together: "model", "teacher", "augmentation", "optimizer", "metrics"."""

    name: str
    variables: list[Any]


def training_state(model: Any, with_teacher: bool, with_metrics: bool) -> list[Part]:
    """Return all that moves while `model` trains: weights, statistics, seeds, slots and counts.

    Args:
        model: A compiled `keras.Model` whose variables exist.
        with_teacher: Whether a Distiller's teacher belongs to it. A frozen one does not move.
        with_metrics: Whether the means that an epoch has logged so far do.
    """
    teacher = list(model.teacher.variables) if isinstance(model, Distiller) else []
    known = {id(variable) for variable in teacher}
    parts = [
        Part("model", [variable for variable in model.variables if id(variable) not in known]),
        Part("augmentation", _random_states(model)),
        Part("optimizer", _optimizer_variables(model)),
    ]
    if with_teacher:
        parts.append(Part("teacher", teacher))
    if with_metrics:
        parts.append(Part("metrics", list(model.metrics_variables)))
    return parts


def has_moving_teacher(model: Any) -> bool:
    """Return whether a Distiller's teacher says that it moves while it teaches."""
    return isinstance(model, Distiller) and model.teacher_moves


def build(model: Any, spec: Any) -> None:
    """Create every variable that training on batches like `spec` needs."""
    batch = keras.tree.map_structure(
        lambda tensor: keras.KerasTensor(tuple(tensor.shape), tensor.dtype.name), spec
    )
    with model.distribute_strategy.scope():
        build_symbolically(model, batch)


def describe(parts: Iterable[Part]) -> list[Described]:
    """Return what the variables are, without their values."""
    return [
        Described(
            part.name,
            getattr(variable, "path", variable.name),
            tuple(variable.shape),
            keras.backend.standardize_dtype(variable.dtype),
        )
        for part in parts
        for variable in part.variables
    ]


def first_difference(saved: Sequence[Described], here: Sequence[Described]) -> str | None:
    """Return what tells the variables of a file from those of a model, or `None`."""
    for there, mine in itertools.zip_longest(saved, here):
        if there is not None and mine is not None and _key(there) == _key(mine):
            continue
        if there is None or mine is None or there.part != mine.part:
            return _counted(saved, here, (there or mine).part)
        return f"the {there.part} has {there} there and {mine} here"
    return None


def values_of(parts: Iterable[Part]) -> list[np.ndarray]:
    """Return the values of the variables, in order."""
    return [keras.ops.convert_to_numpy(variable) for part in parts for variable in part.variables]


def assign(model: Any, parts: Iterable[Part], values: Sequence[np.ndarray]) -> None:
    """Bring the variables, in order, to `values`."""
    variables = [variable for part in parts for variable in part.variables]
    with model.distribute_strategy.scope():
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def non_finite(model: Any) -> list[str]:
    """Return the names of the trained weights that hold NaN or infinity."""
    return [
        weight.path
        for weight in model.trainable_variables
        if not np.isfinite(keras.ops.convert_to_numpy(weight).astype("float64")).all()
    ]


def optimizer_name(optimizer: Any) -> str:
    """Return what kind of optimizer it is."""
    inner = getattr(optimizer, "inner_optimizer", None)
    name = type(optimizer).__name__
    return name if inner is None else f"{name}({optimizer_name(inner)})"


class TeacherIdentity:
    """What tells the weights of a Distiller's teacher from others.

    Args:
        model: Any model; only a Distiller has a teacher that does not train with it.
    """

    def __init__(self, model: Any):
        self._teacher = model.teacher if isinstance(model, Distiller) else None
        self._fingerprint: Fingerprint | None = None

    def __call__(self) -> str:
        """Return a hash; "" without a teacher, or before it has weights."""
        if self._teacher is None or not self._teacher.built:
            return ""
        if self._fingerprint is None:
            self._fingerprint = Fingerprint(self._teacher)
        return hashlib.sha256(self._fingerprint()).hexdigest()


def _key(variable: Described) -> Described:
    return variable._replace(name=_NUMBER.sub("", variable.name))


def _counted(saved: Sequence[Described], here: Sequence[Described], part: str) -> str:
    there, mine = (sum(v.part == part for v in variables) for variables in (saved, here))
    return f"the {part} has {there} variables there and {mine} here"


def _optimizer_variables(model: Any) -> list[Any]:
    # A model with a train_step of its own may have several optimizers.
    found = [model.optimizer, *vars(model).values()]
    optimizers = {id(o): o for o in found if isinstance(o, keras.optimizers.Optimizer)}
    return [variable for optimizer in optimizers.values() for variable in optimizer.variables]


def _random_states(model: Any) -> list[Any]:
    """Return the seeds of the layers in an augmentation that draw from a state of their own.

    The model does not track them: an augmentation is no part of it.
    """
    chain = getattr(getattr(model, "_augmentation", None), "normalised", None)
    layers = [part for part in getattr(chain, "parts", []) if isinstance(part, keras.Layer)]
    states = [variable for layer in layers for variable in layer.variables]
    for layer in itertools.chain.from_iterable(flat_layers(layer) for layer in layers):
        generator = generator_of(layer)
        if isinstance(generator, tf.random.Generator):
            states.append(generator.state)
    return states
