"""What a Distiller writes into a `.keras` file, and reads back."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import keras
import numpy as np


class Untracked:
    """Hold the augmentation out of Keras's sight.

    A layer that is an attribute of a model becomes part of it: its weights would be trained and its
    lack of XLA support would switch XLA off for the core.
    """

    def __init__(self, normalised: Any, given: Any):
        self.normalised = normalised
        self.given = given


class SavedDistiller(keras.Model):
    """The part of the Distiller that Keras calls to write and read `.keras` files."""

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **distiller_config(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**distiller_arguments(config))

    def get_build_config(self) -> dict[str, Any]:
        return build_config(self._specs)

    def build_from_config(self, config: dict[str, Any]) -> None:
        if config:
            self._build_for(*symbolic_data(config))

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    def save_own_variables(self, store: Any) -> None:
        save_state(self, store)

    def load_own_variables(self, store: Any) -> None:
        load_state(self, store)


def distiller_config(distiller: Any) -> dict[str, Any]:
    """Return the constructor's arguments, serialised."""
    serialize = keras.saving.serialize_keras_object
    return {
        "teacher": serialize(distiller.teacher),
        "student": serialize(distiller.student),
        "distillation_losses": [serialize(loss) for loss in distiller.distillation_losses],
        "distillation_loss_weights": [serialize(w) for w in distiller.distillation_loss_weights],
        "student_loss_weight": serialize(distiller.student_loss_weight),
        "augmentation": _augmentation_config(distiller.augmentation),
        "combine": distiller.combine,
        "balance": distiller.balance,
        "teacher_inference": distiller.teacher_inference,
    }


def distiller_arguments(config: dict[str, Any]) -> dict[str, Any]:
    """Return the constructor's arguments from a config of ours or of Keras's own Distiller."""
    config = dict(config)
    if config.get("augmentation") is not None:
        # The policies are registered when their room is imported, which needs keras-cv; that is
        # left to the distillers that use one.
        for module in ("policy", "layers", "pick", "feedback"):
            importlib.import_module(f"kd_keras.augment.{module}")
        config["augmentation"] = keras.saving.deserialize_keras_object(config["augmentation"])
    for name in ("teacher", "student"):
        config[name] = keras.saving.deserialize_keras_object(config[name])
    for name in ("distillation_losses", "distillation_loss_weights"):
        if config.get(name) is not None:
            config[name] = [keras.saving.deserialize_keras_object(part) for part in config[name]]
    if "student_loss_weight" in config:
        weight = keras.saving.deserialize_keras_object(config["student_loss_weight"])
        config["student_loss_weight"] = weight
    return config


def _augmentation_config(augmentation: Any) -> Any:
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


def build_config(specs: Any) -> dict[str, Any]:
    """Return the shapes and dtypes of the data that the Distiller was built for."""
    if specs is None:
        return {}
    return {
        "inputs": _describe(specs.inputs),
        "targets": None if specs.targets is None else _describe(specs.targets),
    }


def symbolic_data(config: dict[str, Any]) -> tuple[Any, Any]:
    """Return symbolic inputs and targets from what `build_config` returned."""
    targets = config["targets"]
    return _symbolic(config["inputs"]), None if targets is None else _symbolic(targets)


def _describe(structure: Any) -> Any:
    if isinstance(structure, dict):
        return {"dict": {name: _describe(value) for name, value in structure.items()}}
    if isinstance(structure, (list, tuple)):
        return {"list": [_describe(value) for value in structure]}
    return {"shape": list(structure.shape), "dtype": structure.dtype}


def _symbolic(description: dict[str, Any]) -> Any:
    if "dict" in description:
        return {name: _symbolic(value) for name, value in description["dict"].items()}
    if "list" in description:
        return [_symbolic(value) for value in description["list"]]
    return keras.KerasTensor(tuple(description["shape"]), dtype=description["dtype"])


def save_state(distiller: Any, store: Any) -> None:
    """Write the step, the sizes of the losses, and the seed generators' states.

    Keras writes none of them: the weights of a model's own, and what is no weight.
    """
    store["step"] = np.asarray(distiller.step)
    if distiller.balance is not None:
        store["loss_sizes"] = np.asarray(distiller._loss_sizes)
    for index, state in enumerate(_random_states(distiller)):
        store[f"random_state_{index}"] = np.asarray(state)


def load_state(distiller: Any, store: Any) -> None:
    """Read what `save_state` wrote; a file of Keras's own Distiller has nothing of it."""
    keys = set(store.keys())
    if "step" in keys:
        distiller.step.assign(np.asarray(store["step"]))
    if "loss_sizes" in keys and distiller.balance is not None:
        distiller._loss_sizes.assign(np.asarray(store["loss_sizes"]))
    for index, state in enumerate(_random_states(distiller)):
        if f"random_state_{index}" in keys:
            state.assign(np.asarray(store[f"random_state_{index}"]))


def _random_states(distiller: Any) -> list[Any]:
    states = []
    for model in (distiller.student, *distiller._loss_layers):
        weights = {id(weight) for weight in model.weights}
        states += [variable for variable in model.variables if id(variable) not in weights]
    return states


def scale_loss_if_float16(optimizer: Any, student: Any, auto_scale_loss: bool) -> Any:
    """Return the optimizer, wrapped in loss scaling if any layer of the student runs in float16.

    Keras looks at the policy of the model that is compiled, here the Distiller's, which says
    nothing about the student's.
    """
    optimizer = keras.optimizers.get(optimizer)
    needs_scaling = any(
        layer.compute_dtype == "float16" for layer in student._flatten_layers(recursive=True)
    )
    if (
        auto_scale_loss
        and needs_scaling
        and optimizer is not None
        and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    ):
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer
