"""One of several transforms for each image, by probabilities that may change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from kd_keras.augment.calling import refuse_per_pixel_labels
from kd_keras.augment.draws import Draws
from kd_keras.augment.geometry import Move
from kd_keras.augment.layers.chosen import OfLayers, apply_where
from kd_keras.training.batch import CHOICE, Batch


class Choice(OfLayers):
    """Send each image through one of the transforms, and say in `Batch.extras` through which.

    Each transform gets only its own images, so a batch costs about as much as one transform.

    Args:
        layers: keras-cv layers or callables on images; `None` leaves images as they are.
        probabilities: Returns the probability of each, `(transforms,)`, when a batch is drawn.
    """

    def __init__(self, layers: Sequence[Any], probabilities: Callable[[], tf.Tensor]):
        super().__init__(layers)
        self._probabilities = probabilities

    def apply(self, views: Batch, draws: Draws) -> Batch:
        refuse_per_pixel_labels(self, views)
        choice = self._choice(draws)
        images = views.x
        for index, layer in enumerate(self.layers):
            if layer is not None:
                images = apply_where(layer, images, choice == index, draws.child(index))
        return views._replace(x=images).with_extras(**{CHOICE: choice})

    def _choice(self, draws: Draws) -> tf.Tensor:
        """Return the index of the transform of each image, `(batch,)` int32."""
        # Where each transform's share of the unit interval ends; rounding must not leave a rest.
        ends = tf.cumsum(self._probabilities())[:-1]
        uniform = draws.uniform([tf.shape(draws.rows.index)[0]])
        return tf.searchsorted(ends, uniform, side="right")

    def geometry(self, images: tf.Tensor, draws: Draws) -> list[Move] | None:
        choice = self._choice(draws)
        return self.moves_where(images, lambda index: choice == index, draws)

    def __repr__(self) -> str:
        return f"Choice([{self.names}])"
