"""A layer on those images of a batch that chose it, for the layers that are made of layers."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kd_keras.augment.draws import Draws
from kd_keras.augment.seeding import call_seeded, make_repeatable
from kd_keras.augment.views import Augmentation, Views


def checked_layers(layers: Any) -> list[Any]:
    """Return `layers` as a list of layers that draw from policies, or raise."""
    layers = list(layers)
    for layer in layers:
        if isinstance(layer, (type, Augmentation)) or not callable(layer):
            raise TypeError(
                "`layers` must hold layers or callables on images. Received: "
                f"{layer!r} of type {type(layer).__name__}"
            )
        make_repeatable(layer)
    return layers


def apply_where(layer: Any, images: tf.Tensor, chosen: tf.Tensor, draws: Draws) -> tf.Tensor:
    """Return `images` with `layer` applied where `chosen`, `(batch,)` bool.

    Args:
        layer: A layer or callable that keeps the size of the images.
        images: `(batch, height, width, channels)`.
        chosen: `(batch,)` bool.
        draws: Random numbers of the whole batch.
    """
    indices = tf.cast(tf.where(chosen)[:, 0], tf.int32)
    some_draws = draws.on(draws.rows.subset(indices))

    def changed() -> tf.Tensor:
        some = tf.gather(images, indices)
        some = tf.ensure_shape(some, [None, *images.shape[1:]])
        some = call_seeded(layer, Views(some), some_draws).x
        return tf.tensor_scatter_nd_update(images, indices[:, None], some)

    # Not every layer stands an empty batch.
    result = tf.cond(tf.size(indices) > 0, changed, lambda: images)
    return tf.ensure_shape(result, images.shape)
