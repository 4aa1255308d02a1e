"""The forms in which a loss may be told what to tap, and the names that they come down to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras

from kd_keras.compat.structure import producer

# A layer's name, the path of a layer in a nested model ("inner/layer"), the key of a dict output, a
# layer, or a function of the model that returns one of these or a symbolic tensor.
TapForm: TypeAlias = str | keras.Layer | Callable[[Any], Any]
TapForms: TypeAlias = TapForm | Sequence[TapForm] | None


def check_form(form: Any, argument: str) -> Any:
    """Return `form`, a sequence as a tuple, or raise if it can name no tap.

    Args:
        form: `None`, one form, or a list or tuple of forms.
        argument: Name of the argument, for the message.
    """
    forms = form if isinstance(form, (list, tuple)) else (form,)
    fits = all(isinstance(one, str) or callable(one) for one in forms if one is not None)
    if not fits or (isinstance(form, (list, tuple)) and (not forms or None in forms)):
        raise ValueError(
            f"`{argument}` must be the name of a layer ('inner/layer' for one in a nested model), "
            "the key of a dict output, a keras.Layer, a function of the model that returns one of "
            f"these, a list of those, or None for the model's output. Received: {argument}={form!r}"
            "."
        )
    return tuple(form) if isinstance(form, (list, tuple)) else form


def resolve(form: Any, model: Any, role: str) -> str | tuple[str, ...] | None:
    """Return the name, or the tuple of names, that `form` means in `model`.

    Args:
        form: What `check_form` returned.
        model: The teacher or the student.
        role: "teacher" or "student", for messages.

    Raises:
        ValueError: If a layer is not part of the model, or a function returns something else.
    """
    if isinstance(form, tuple):
        return tuple(_one_name(one, model, role) for one in form)
    return None if form is None else _one_name(form, model, role)


def names_in_config(form: Any, argument: str) -> Any:
    """Return `form` as names, for a config.

    Raises:
        ValueError: If it is a function of a model that the loss has not seen.
    """
    if isinstance(form, tuple):
        return [names_in_config(one, argument) for one in form]
    if form is None or isinstance(form, str):
        return form
    if isinstance(form, keras.Layer):
        return form.name
    raise ValueError(
        f"`{argument}` is a function of the model, which has no name before the loss has seen the "
        f"model. Received: {argument}={form!r}. Take the loss of a "
        "Distiller, `distiller.losses_in_use`, or pass the layer's name."
    )


def _one_name(form: Any, model: Any, role: str) -> str:
    if isinstance(form, str):
        return form
    found = form if isinstance(form, keras.Layer) else form(model)
    if isinstance(found, str):
        return found
    if isinstance(found, keras.KerasTensor):
        found = producer(found)
    if not isinstance(found, keras.Layer):
        raise ValueError(
            f"A tap of the {role} given as a function must return a layer, a layer's name, or the "
            f"symbolic output of a layer. Received: {form!r} returned {found!r}. Put a "
            "`keras.layers.Identity(name=...)` behind an operation that is no layer."
        )
    path = _path_of(found, model)
    if path is None:
        raise ValueError(
            f"The layer {found.name!r} given as a tap is not part of the {role} {model.name!r}. "
            f"Its layers are: {[layer.name for layer in getattr(model, 'layers', [])]}. Take the "
            "layer from the model itself, or pass its name."
        )
    return path


def _path_of(wanted: Any, model: Any) -> str | None:
    """Return the path of a layer, found by identity, in a model and the models nested in it."""
    for layer in getattr(model, "layers", ()):
        if layer is wanted:
            return layer.name
        inner = _path_of(wanted, layer)
        if inner is not None:
            return f"{layer.name}/{inner}"
    return None
