"""How the Distiller sees any augmentation. Does not import keras-cv."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kd_keras.augment.calling import (
    call_layer,
    refuse_per_pixel_labels,
    takes_dict,
    takes_labels,
)
from kd_keras.augment.contract import Adaptive, Augmentation, TeacherGuided
from kd_keras.augment.draws import at_place
from kd_keras.augment.pixelwise import keeps_positions
from kd_keras.augment.places import call_on_labels, refuse_unmovable
from kd_keras.augment.unrepeatable import refuse_frozen_draws
from kd_keras.compat.model import flat_layers
from kd_keras.training.batch import ASKED, Batch

__all__ = ["Chain", "as_augmentation", "augment_batch"]


class Chain:
    """Augmentations that act one after the other.

    Args:
        parts: Augmentations of ours, layers of Keras and keras-cv, and callables.
    """

    def __init__(self, parts: list[Any]):
        self.parts = parts
        # The parts whose traces were compared, by identity.
        self.checked: set[int] = set()

    @property
    def adaptive(self) -> Adaptive | None:
        """The part that learns from the gap between teacher and student, if there is one."""
        return next((part for part in self.parts if isinstance(part, Adaptive)), None)

    @property
    def needs_teacher(self) -> bool:
        """Whether a part asks the teacher, or learns from it."""
        return any(isinstance(part, (Adaptive, TeacherGuided)) for part in self.parts)

    def __repr__(self) -> str:
        return f"Chain({self.parts})"


def as_augmentation(obj: Any) -> Chain | None:
    """Return any accepted form of augmentation in one form.

    Args:
        obj: `None`, a `Policy`, a Keras or keras-cv layer, a callable that takes and returns the
            inputs of the model, or a list or tuple of those. A callable that names `y` in its
            signature also gets the labels, and returns both; one that names `step` gets the count
            of the steps so far, to seed what it draws; one that names `training` gets True.

    Raises:
        TypeError: If it is, or holds, something else.
        ValueError: If two parts adapt.
    """
    if obj is None or isinstance(obj, Chain):
        return obj
    parts = list(obj) if isinstance(obj, (list, tuple)) else [obj]
    for part in parts:
        if isinstance(part, str):
            remedy = f"For a named policy pass kd_keras.augment.named({part!r})."
        elif isinstance(part, type):
            remedy = f"Pass an instance: {part.__name__}(...)."
        elif isinstance(part, (list, tuple)):
            remedy = "Pass one flat list."
        elif not callable(part):
            remedy = "Wrap what it does into a function of the images."
        else:
            continue
        raise TypeError(
            "`augmentation` must be None, a policy, a layer, a callable, or a list of those. "
            f"Received: {part!r} of type {type(part).__name__}. {remedy}"
        )
    if sum(isinstance(part, Adaptive) for part in parts) > 1:
        raise ValueError(
            "`augmentation` may adapt once: of two such parts neither would know what the gap "
            f"comes from. Received: {parts}. Put the transforms of both into one Feedback."
        )
    return Chain(parts) if parts else None


def augment_batch(
    augmentation: Chain | None,
    batch: Batch,
    step: Any,
    teacher: Callable[[Any], Any] | None = None,
) -> Batch:
    """Return the views of one batch; traceable, and to be called in replica context.

    Args:
        augmentation: What `as_augmentation` returned.
        batch: x is a tensor or, for plain callables, a structure of them. `spatial` says which
            labels move with it.
        step: Count of the steps so far, int64 scalar tensor, the same on every replica.
        teacher: Returns the teacher's logits, for the augmentations that ask it.

    Raises:
        ValueError: If the augmentation does not fit the batch.
    """
    x, y, weight = (_as_tensors(part) for part in (batch.x, batch.y, batch.weight))
    views = batch._replace(x=x, y=y, weight=weight)
    place = 0  # among the seeded parts, which alone draw by it
    if augmentation is None:
        return views
    for part in augmentation.parts:
        # What the teacher said of other views does not hold for these.
        views = views.with_extras(**{ASKED: None})
        if isinstance(part, Augmentation):
            if not tf.is_tensor(views.x):
                raise TypeError(
                    f"{part!r} augments one tensor. Received: x of type {type(views.x).__name__}. "
                    "For inputs of several tensors pass a callable that takes and returns them."
                )
            if views.spatial and not part.minds_annotations:
                refuse_unmovable(part, views.spatial, alone=True)
            with at_place(place):
                if isinstance(part, TeacherGuided) and teacher is not None:
                    views = part.augment_with(views, step, teacher)
                else:
                    views = part.augment(views, step)
            place += 1
        else:
            views = _apply_foreign(part, views, step, augmentation.checked)
    return views


def _apply_foreign(part: Any, views: Batch, step: Any, checked: set[int]) -> Batch:
    if id(part) not in checked and _is_own_code(part):
        checked.add(id(part))
        given = (views.x, views.y) if takes_labels(part) else (views.x, None)
        if all(tf.is_tensor(leaf) for leaf in keras.tree.flatten(given) if leaf is not None):
            refuse_frozen_draws(
                lambda xy: call_layer(part, xy[0], xy[1], step=tf.zeros((), tf.int64)), part, given
            )
    if takes_labels(part):
        moved = call_on_labels(part, views, step)
        x, y = moved.x, moved.y
    elif views.spatial and not keeps_positions(part):
        refuse_unmovable(part, views.spatial, alone=True)
    elif views.mix is None and not views.spatial:
        if takes_dict(part):
            refuse_per_pixel_labels(part, views)
        x, y = call_layer(part, views.x, views.y, views.weight, step)
    else:
        # Labels are a pair by now, or belong to places; only the inputs can still change.
        x, y = call_layer(part, views.x, None, step=step)[0], views.y
    before, after = keras.tree.flatten(views.x), keras.tree.flatten(x)
    for old, new in zip(before, after, strict=False):
        if not tf.is_tensor(new) or not new.shape[:1].is_compatible_with(old.shape[:1]):
            raise ValueError(
                f"`augmentation` must return tensors of the batch that it got. Received: "
                f"{part!r} returned {new!r} for an input of shape {tuple(old.shape)}."
            )
    return views._replace(x=x, y=y)


def _is_own_code(part: Any) -> bool:
    """Whether some of `part` is a user's, and no layer of Keras or keras-cv."""
    layers = flat_layers(part) if isinstance(part, keras.layers.Layer) else [part]
    return any(type(la).__module__.split(".")[0] not in ("keras", "keras_cv") for la in layers)


def _as_tensors(structure: Any) -> Any:
    return keras.tree.map_structure(
        lambda leaf: tf.convert_to_tensor(leaf) if isinstance(leaf, np.ndarray) else leaf, structure
    )
