"""What a training writes into a `.keras` file, and reads back."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kd_keras.compat.model import flat_layers


class Untracked:
    """Hold the augmentation out of Keras's sight.

    A layer that is an attribute of a model becomes part of it: its weights would be trained and its
    lack of XLA support would switch XLA off for the core.
    """

    def __init__(self, normalised: Any, given: Any):
        self.normalised = normalised
        self.given = given


def distiller_config(distiller: Any) -> dict[str, Any]:
    """Return the constructor's arguments, serialised."""
    serialize = keras.saving.serialize_keras_object
    return {
        "teacher": serialize(distiller.teacher),
        "student": serialize(distiller.student),
        "distillation_losses": _each(serialize, distiller.losses_in_use),
        "distillation_loss_weights": _each(serialize, distiller.distillation_loss_weights),
        "student_loss_weight": serialize(distiller.student_loss_weight),
        "augmentation": augmentation_config(distiller.augmentation),
        "student_inputs": serialize(distiller.student_inputs),
        "spatial": distiller.spatial,
        "combine": distiller.combine,
        "balance": distiller.balance,
        "teacher_inference": distiller.teacher_inference,
    }


def distiller_arguments(config: dict[str, Any]) -> dict[str, Any]:
    """Return the constructor's arguments from a config of ours or of Keras's own Distiller."""
    config = with_augmentation(config)
    for name in ("teacher", "student"):
        config[name] = keras.saving.deserialize_keras_object(config[name])
    if config.get("student_inputs") is not None:
        inputs = keras.saving.deserialize_keras_object(config["student_inputs"])
        config["student_inputs"] = inputs
    for name in ("distillation_losses", "distillation_loss_weights"):
        if config.get(name) is not None:
            config[name] = _each(keras.saving.deserialize_keras_object, config[name])
    if "student_loss_weight" in config:
        weight = keras.saving.deserialize_keras_object(config["student_loss_weight"])
        config["student_loss_weight"] = weight
    return config


def _each(function: Callable[[Any], Any], parts: Any) -> Any:
    """Return what a function makes of each part of a list, or of a dict of lists."""
    if isinstance(parts, dict):
        return {name: [function(part) for part in own] for name, own in parts.items()}
    return [function(part) for part in parts]


def with_augmentation(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config with its augmentation made."""
    config = dict(config)
    if config.get("augmentation") is not None:
        # The policies are registered when their room is imported, which needs keras-cv; that is
        # left to the models that use one.
        for module in ("policy", "layers", "pick", "feedback"):
            importlib.import_module(f"kd_keras.augment.{module}")
        config["augmentation"] = keras.saving.deserialize_keras_object(config["augmentation"])
    return config


def augmentation_config(augmentation: Any) -> Any:
    if augmentation is None:
        return None
    try:
        config = keras.saving.serialize_keras_object(augmentation)
        keras.saving.deserialize_keras_object(config)
    except Exception as error:  # whatever a user's own layer or function may raise
        warnings.warn(
            f"The augmentation {augmentation!r} cannot be saved ({error}), so the saved Distiller "
            "has none. Register it with `keras.saving.register_keras_serializable()`, or build the "
            "loaded student into a new Distiller with the augmentation.",
            UserWarning,
            stacklevel=2,
        )
        return None
    return config


def save_state(model: Any, store: Any) -> None:
    """Write the step, the sizes of the losses, and the seed generators' states.

    Keras writes none of them: the weights of a model's own, and what is no weight.
    """
    store["step"] = np.asarray(model.step)
    sizes = model._parts.weighing.sizes
    if sizes is not None:
        store["loss_sizes"] = np.asarray(sizes)
    for index, state in enumerate(_random_states(model)):
        store[f"random_state_{index}"] = np.asarray(state)


def load_state(model: Any, store: Any) -> None:
    """Read what `save_state` wrote; a file of Keras's own Distiller has nothing of it."""
    keys = set(store.keys())
    if "step" in keys:
        model.step.assign(np.asarray(store["step"]))
    sizes = model._parts.weighing.sizes
    if "loss_sizes" in keys and sizes is not None:
        sizes.assign(np.asarray(store["loss_sizes"]))
    for index, state in enumerate(_random_states(model)):
        if f"random_state_{index}" in keys:
            state.assign(np.asarray(store[f"random_state_{index}"]))


def _random_states(model: Any) -> list[Any]:
    states = []
    for layer in (model.student, *model._loss_layers):
        weights = {id(weight) for weight in layer.weights}
        states += [variable for variable in layer.variables if id(variable) not in weights]
    return states


def scale_loss_if_float16(optimizer: Any, student: Any, auto_scale_loss: bool) -> Any:
    """Return the optimizer, wrapped in loss scaling if any layer of the student runs in float16.

    Keras looks at the policy of the model that is compiled, here the Distiller's, which says
    nothing about the student's.
    """
    optimizer = keras.optimizers.get(optimizer)
    needs_scaling = any(layer.compute_dtype == "float16" for layer in flat_layers(student))
    if (
        auto_scale_loss
        and needs_scaling
        and optimizer is not None
        and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    ):
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer
