"""A layer on those images of a batch that chose it, for the layers that are made of layers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import keras
import tensorflow as tf

from kd_keras.augment.calling import takes_labels
from kd_keras.augment.contract import Augmentation
from kd_keras.augment.draws import Draws
from kd_keras.augment.geometry import Move, moves_of, where_chosen
from kd_keras.augment.layers.drawn import Drawn
from kd_keras.augment.pixelwise import keeps_positions
from kd_keras.augment.seeding import call_seeded, make_repeatable
from kd_keras.training.batch import Batch


class OfLayers(Drawn):
    """An augmentation that is made of layers, each of which acts on some of the images.

    Args:
        layers: keras-cv layers or callables on images; `None` leaves images as they are.
        seed: Seed for use outside of a `Policy`; inside, the policy's seed rules.
    """

    def __init__(self, layers: Any, seed: int = 0):
        super().__init__(seed)
        self.layers = list(layers)
        _check_layers(layer for layer in self.layers if layer is not None)

    @property
    def keeps_positions(self) -> bool:
        """Whether none of the layers moves pixels."""
        return all(layer is None or keeps_positions(layer) for layer in self.layers)

    def moves_where(
        self, images: tf.Tensor, chosen: Callable[[int], tf.Tensor], draws: Draws
    ) -> list[Move] | None:
        """Return where the layers move pixels of the images that chose them, by their index."""
        moves: list[Move] = []
        for index, layer in enumerate(self.layers):
            here = where_chosen(chosen(index), moves_of(layer, images, draws.child(index)))
            if here is None:
                return None
            moves += here
        return moves

    def get_config(self) -> dict[str, Any]:
        return {"layers": keras.saving.serialize_keras_object(self.layers), "seed": self.seed}

    @property
    def names(self) -> str:
        """What the layers are called, for people."""
        return ", ".join("None" if la is None else type(la).__name__ for la in self.layers)


def _check_layers(layers: Iterable[Any]) -> None:
    """Let layers draw from policies, or raise."""
    for layer in layers:
        if isinstance(layer, (type, Augmentation)) or not callable(layer):
            raise TypeError(
                "`layers` must hold layers or callables on images. Received: "
                f"{layer!r} of type {type(layer).__name__}"
            )
        if takes_labels(layer):
            raise TypeError(
                "`layers` must hold functions of the images alone, for labels are not shown to "
                f"them. Received: {layer!r}, which names `y` in its signature. Put it into the "
                "policy itself."
            )
        make_repeatable(layer)


def apply_where(layer: Any, images: tf.Tensor, chosen: tf.Tensor, draws: Draws) -> tf.Tensor:
    """Return `images` with `layer` applied where `chosen`, `(batch,)` bool.

    Args:
        layer: A layer or callable that keeps the size of the images.
        images: `(batch, height, width, channels)`.
        chosen: `(batch,)` bool.
        draws: Random numbers of the whole batch.
    """
    indices = _where(chosen)
    result = tf.cond(
        tf.size(indices) > 0,
        lambda: tf.tensor_scatter_nd_update(
            images, indices[:, None], _changed(layer, images, indices, draws)
        ),
        lambda: images,
    )
    return tf.ensure_shape(result, images.shape)


def apply_choice(
    layers: list[Any], images: tf.Tensor, choice: tf.Tensor, draws: Draws
) -> tf.Tensor:
    """Return `images`, each through one of the layers; takes the batch apart and together once.

    Args:
        layers: Layers or callables that keep the size of the images.
        images: `(batch, height, width, channels)`.
        choice: `(batch,)` int32, the index of the layer of each image, or -1 for none.
        draws: Random numbers of the whole batch.
    """
    untouched = _where(choice < 0)
    indices, parts = [untouched], [tf.gather(images, untouched)]
    for index, layer in enumerate(layers):
        here = _where(choice == index)
        part = tf.cond(
            tf.size(here) > 0,
            functools.partial(_changed, layer, images, here, draws.child(index)),
            functools.partial(tf.gather, images, here),
        )
        indices.append(here)
        parts.append(part)
    return tf.ensure_shape(tf.dynamic_stitch(indices, parts), images.shape)


def _where(chosen: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.where(chosen)[:, 0], tf.int32)


def _changed(layer: Any, images: tf.Tensor, indices: tf.Tensor, draws: Draws) -> tf.Tensor:
    """Return the images at `indices`, at least one, through `layer`.

    Not every layer stands an empty batch, which is why there must be one.
    """
    some = tf.ensure_shape(tf.gather(images, indices), [None, *images.shape[1:]])
    return call_seeded(layer, Batch(some), draws.on(draws.rows.subset(indices))).x
