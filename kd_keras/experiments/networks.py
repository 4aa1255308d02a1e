"""The networks of a recipe: an architecture by name, a `.keras` file, or a user's own function."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from kd_keras import data, models
from kd_keras.experiments.own_functions import returned_by
from kd_keras.losses.contract.logit_form import LogitForm, as_logits
from kd_keras.network_files import load_network, network_file
from kd_keras.own_modules import import_own, importable_from
from kd_keras.recipes.recipe import Recipe
from kd_keras.recipes.stage import Stage, function_of, is_file
from kd_keras.tasks import task_of
from kd_keras.whole_file import scratch_folder

_OURS = (0.0, 255.0)  # what data give, and networks of `kd_keras.models` take


def build(stage: Stage, recipe: Recipe, info: data.DataInfo) -> keras.Model:
    """Return the network that a stage begins with: raw examples of the data in, logits out.

    The same recipe gives the same initial weights. A network of the user's own is wrapped where it
    takes images of another size, number of channels or range, or returns probabilities; otherwise
    it is used as it is.

    Args:
        stage: Names the network.
        recipe: Says seed and weight decay.
        info: Shape of the examples and number of classes.

    Raises:
        ValueError: If there is no such network, or it does not fit the data.
    """
    function = function_of(stage.network)
    if is_file(stage.network):
        # A file says no seeds of its dropout and augmentation layers.
        with _seeded(recipe.seed):
            own = load_network(network_file(stage.network, stage.role), stage.role)
            return fitted(own, stage, info)
    if function is not None:
        # Once, and what it draws itself must not change what the first network begins with.
        import_own(function[0], stage.role, stage.network)
        with _seeded(recipe.seed), importable_from(function[0]):
            made = fitted(returned_by(*function, stage, recipe, info), stage, info)
        _refuse_unsavable(made, stage)
        return made
    if stage.value_range != _OURS:
        raise ValueError(
            f"`{stage.role}_value_range` is of networks of your own; those by name take 0 to "
            f"255. Received: {stage.role}_value_range={stage.value_range} with "
            f"{stage.role}={stage.network!r}. Leave it out."
        )
    return task_of(info).network(
        stage.network, info, weight_decay=recipe.weight_decay, seed=recipe.seed
    )


def fitted(own: keras.Model, stage: Stage, info: data.DataInfo) -> keras.Model:
    """Return a network of the user's own as one from raw examples of the data to logits.

    Args:
        own: The network.
        stage: Says the range of the images that it takes.
        info: What the data are.

    Raises:
        ValueError: If it has several inputs or outputs, or other ones than the data need.
    """
    if info.task == "image":
        return _fitted_to_images(own, stage, info)
    inputs = examples = keras.Input(info.input_shape, dtype=info.input_dtype, name="examples")
    received = f"Received: {stage.role}={stage.network!r}"
    preprocessor = getattr(own, "preprocessor", None)
    reads = info.task == "text" and (preprocessor is not None or reads_text(own))
    if reads and not stage.is_teacher:
        raise ValueError(
            f"`{stage.role}` must take ids of words, {info.input_dtype} of shape "
            f"{info.input_shape}: on the phone there is no operator that reads text. {received}, "
            "which takes strings, as a teacher may."
        )
    if reads:
        examples = models.IdsToText(info.details["vocabulary"], name="text")(inputs)
        if preprocessor is None and len(own.inputs[0].shape) == 2:
            examples = keras.ops.expand_dims(examples, -1)
    try:
        outputs = own(_preprocessed(own, examples))
    except Exception as error:  # of the user's layers
        raise ValueError(
            f"`{stage.role}` must take examples of {info.title!r}: {info.input_dtype} of shape "
            f"{info.input_shape} beside the batch. {received}: {type(error).__name__}: {error}"
        ) from error
    flat = keras.tree.flatten(outputs)
    wanted = (*info.label_shape, info.num_classes)
    if len(flat) != 1 or tuple(flat[0].shape[1:]) != wanted:
        raise ValueError(
            f"`{stage.role}` must have one output of shape {wanted} beside the batch. {received} "
            f"with {[tuple(output.shape) for output in flat]}."
        )
    made = keras.Model(inputs, flat[0], name=own.name)
    form = LogitForm(made)
    form.look(keras.KerasTensor((None, *info.input_shape), info.input_dtype))
    kind = form.kinds[0] if form.kinds else None
    if kind in (None, "logits"):
        return own if getattr(own, "inputs", None) and not reads and not preprocessor else made
    return keras.Model(inputs, as_logits(flat[0], kind), name=own.name)


def _preprocessed(own: keras.Model, x: Any) -> Any:
    """Return what a task of KerasHub makes of its data before it is called; of others x itself."""
    preprocessor = getattr(own, "preprocessor", None)
    if preprocessor is None:
        return x
    own.preprocessor = None  # a file holds a vocabulary once, and finds it once
    return models.Preprocessed(preprocessor)(x)


def _fitted_to_images(own: keras.Model, stage: Stage, info: data.DataInfo) -> keras.Model:
    """Return a network of the user's own as one from raw images of the data to logits.

    Args:
        own: The network.
        stage: Says the range of the images that it takes.
        info: What the data are.

    Raises:
        ValueError: If it has several inputs or outputs, or other classes than the data.
    """
    takes, gives = _shapes(own, stage, info)
    form = LogitForm(own)
    sizes = [given or wanted for given, wanted in zip(takes, info.image_shape, strict=False)]
    form.look(keras.KerasTensor((None, *sizes), "float32"))
    kind = form.kinds[0] if form.kinds else None
    is_image = len(takes) == 3
    size = takes[:2] if is_image and None not in takes[:2] else info.image_shape[:2]
    is_one_unit = gives == 1 and info.num_classes == 2
    if gives != info.num_classes and not is_one_unit:
        raise ValueError(
            f"`{stage.role}` must have as many outputs as the data have classes: {info.title!r} "
            f"has {info.num_classes}. Received: {stage.role}={stage.network!r} with {gives} "
            "outputs. Where the data's classes are some of a teacher's, distil in Python with "
            "kd_keras.teachers.Frozen(model, classes=[...])."
        )
    as_it_is = (
        is_image
        and (*size, takes[-1]) == info.image_shape
        and stage.value_range == _OURS
        and kind in (None, "logits")
        and not is_one_unit
    )
    preprocessor = getattr(own, "preprocessor", None)
    if as_it_is and getattr(own, "inputs", None) and preprocessor is None:
        return own
    x = images = keras.Input(info.image_shape, name="images")
    if is_image and (takes[-1], info.image_shape[-1]) == (3, 1):
        x = keras.ops.repeat(x, 3, axis=-1)
    elif is_image and (takes[-1], info.image_shape[-1]) == (1, 3):
        x = keras.ops.image.rgb_to_grayscale(x)
    if size != info.image_shape[:2]:
        x = keras.layers.Resizing(*size, name="resize")(x)
    if not is_image:
        x = keras.layers.Reshape(takes, name="in_a_row")(x)
    if stage.value_range != _OURS:
        if takes_whole_numbers(own):
            raise ValueError(
                f"`{stage.role}_value_range` must be left out for a network that takes whole "
                f"numbers, which are 0 to 255. Received: {stage.role}_value_range="
                f"{stage.value_range} with {stage.role}={stage.network!r}, which takes "
                f"{own.inputs[0].dtype}."
            )
        low, high = stage.value_range
        x = keras.layers.Rescaling((high - low) / 255.0, low, name="rescale")(x)
    outputs = own(_preprocessed(own, x))
    logits = as_logits(keras.tree.flatten(outputs)[0], kind)
    if is_one_unit:
        logits = keras.ops.concatenate([keras.ops.zeros_like(logits), logits], axis=-1)
    return keras.Model(images, logits, name=own.name)


def reads_text(own: keras.Model) -> bool:
    """Whether a network declares an input of strings."""
    inputs = getattr(own, "inputs", None) or []
    return any(keras.backend.standardize_dtype(each.dtype) == "string" for each in inputs)


def takes_whole_numbers(own: keras.Model) -> bool:
    """Whether a network declares an input of integers, as uint8."""
    inputs = getattr(own, "inputs", None) or []
    return any("int" in keras.backend.standardize_dtype(each.dtype) for each in inputs)


def image_size_of(recipe: Recipe) -> tuple[int, int] | None:
    """Return the size that images are brought to: the recipe's, or that of the student's file."""
    if recipe.image_size is not None:
        return recipe.image_size, recipe.image_size
    if not is_file(recipe.student):
        return None
    student = load_network(network_file(recipe.student, "student"), "student")
    try:
        shape = student.input_shape
    except (AttributeError, ValueError):  # not built yet, for no size
        return None
    is_fixed = isinstance(shape, tuple) and len(shape) == 4 and None not in shape[1:3]
    return shape[1:3] if is_fixed else None


def _shapes(own: Any, stage: Stage, info: data.DataInfo) -> tuple[tuple[Any, ...], int]:
    """Return (height, width, channels) that a network takes, and how many values it gives."""
    try:
        takes = own.input_shape
    except (AttributeError, ValueError):  # not built yet: subclassed, or Sequential without Input
        _build(own, stage, info)
        takes = (None, *info.image_shape)
    gives = getattr(own, "output_shape", None) if getattr(own, "outputs", None) else None
    if gives is None and isinstance(takes, tuple):
        sizes = [n or m for n, m in zip(takes[1:], info.image_shape, strict=False)]
        x = keras.KerasTensor((None, *sizes))
        gives = keras.tree.map_structure(lambda y: tuple(y.shape), own.compute_output_spec(x))
    if not isinstance(gives, tuple) or len(gives) != 2 or gives[-1] is None:
        raise ValueError(
            f"`{stage.role}` must have one output of shape (classes,) beside the batch. Received: "
            f"{stage.role}={stage.network!r} with output shape {gives}. Distil other networks in "
            "Python, with kd_keras.Distiller."
        )
    wanted, received = info.image_shape, takes
    takes = takes[1:] if isinstance(takes, tuple) else None
    is_image = is_row = False
    if takes is not None and len(takes) == 3:
        is_image = takes[-1] == wanted[-1] or {takes[-1], wanted[-1]} == {1, 3}
    elif takes is not None and None not in takes:
        is_row = len(takes) < 3 and math.prod(takes) == math.prod(wanted)
    if takes is None or not (is_image or is_row):
        raise ValueError(
            f"`{stage.role}` must have one input that takes images of the data, {wanted}, in any "
            f"size, grey or RGB, or as many numbers in a row. Received: {stage.role}="
            f"{stage.network!r} with input shape {received}. Give a function that returns a "
            "network from the images on, as in mymodels.py:build."
        )
    return takes, gives[-1]


def _build(own: Any, stage: Stage, info: data.DataInfo) -> None:
    """Build a network that was never called, for images of the data."""
    try:
        own(keras.Input(info.image_shape))
    except Exception as error:  # of the user's layers
        raise ValueError(
            f"`{stage.role}` was never called, and cannot be on images of the data, "
            f"{info.image_shape}: {type(error).__name__}: {error} Received: {stage.role}="
            f"{stage.network!r}. Its `call` must need the images alone: give other arguments a "
            "default, as in `def call(self, x, training=False)`. Or call it before it is saved."
        ) from error


def _refuse_unsavable(network: keras.Model, stage: Stage) -> None:
    """Raise before anything is trained where a run could not read the network back."""
    with scratch_folder() as folder:
        path = folder / "network.keras"
        try:
            network.save(path)
            load_network(path, stage.role)
        except Exception as error:
            raise ValueError(
                f"`{stage.role}` cannot be saved as a .keras file and read again, which a run does "
                f"between its stages. Received: {stage.role}={stage.network!r}. Register layers "
                "and functions of your own with keras.saving.register_keras_serializable (a lambda "
                f"cannot be), and give layers a get_config. It says: {error}"
            ) from error


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Give a function of the user's the same random numbers at each call."""
    before, numpy_before = random.getstate(), np.random.get_state()
    keras.utils.set_random_seed(seed % 2**32)
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(numpy_before)
