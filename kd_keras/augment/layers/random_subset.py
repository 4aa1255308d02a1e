"""A few of many layers for each image, chosen anew each time."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kd_keras.arguments import check_integer
from kd_keras.augment.calling import refuse_per_pixel_labels
from kd_keras.augment.draws import Draws
from kd_keras.augment.geometry import Move
from kd_keras.augment.layers.chosen import OfLayers, apply_where
from kd_keras.training.batch import Batch


@keras.saving.register_keras_serializable(package="kd_keras")
class RandomSubset(OfLayers):
    """Apply to each image `count` of the layers, chosen at random without repetition.

    The idea of RandAugment, with a seed: the magnitudes are those of the layers. Chosen layers act
    in the order of the list. Each layer gets only the images that chose it, so the cost grows with
    `count` and hardly with the length of the list. Labels are not shown to the layers.

    Args:
        layers: keras-cv layers or callables on images that keep the size of the image.
        count: How many act on an image, from 0 to the number of layers.
        seed: Seed for use outside of a `Policy`; inside, the policy's seed rules.

    Raises:
        TypeError: If a layer cannot be called on images.
        ValueError: If `count` is out of range.

    Reference:
        Cubuk et al., "RandAugment: Practical automated data augmentation with a reduced search
        space", arXiv:1909.13719.

    Example:

    >>> import keras_cv
    >>> import tensorflow as tf
    >>> from kd_keras.augment import Policy, RandomSubset
    >>> some = RandomSubset([keras_cv.layers.RandomFlip(), keras_cv.layers.RandomRotation(0.1)], 1)
    >>> Policy([some], seed=3)(tf.zeros((4, 8, 8, 3))).shape
    TensorShape([4, 8, 8, 3])
    """

    def __init__(self, layers: Any, count: int = 2, seed: int = 0):
        super().__init__(layers, seed)
        remedy = "At most all layers act."
        self.count = check_integer("count", count, 0, len(self.layers), remedy)

    def apply(self, views: Batch, draws: Draws) -> Batch:
        images = views.x
        if not self.layers:
            return views
        refuse_per_pixel_labels(self, views)
        chosen = self._chosen(draws)
        for index, layer in enumerate(self.layers):
            images = apply_where(layer, images, chosen[:, index], draws.child(index))
        return views._replace(x=images)

    def _chosen(self, draws: Draws) -> tf.Tensor:
        """Return which layers act on each image, `(batch, layers)` bool."""
        chances = draws.uniform([tf.shape(draws.rows.index)[0], len(self.layers)])
        # The layers with the `count` smallest numbers: rank < count.
        return tf.argsort(tf.argsort(chances, axis=1), axis=1) < self.count

    def geometry(self, images: tf.Tensor, draws: Draws) -> list[Move] | None:
        chosen = self._chosen(draws)
        return self.moves_where(images, lambda index: chosen[:, index], draws)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "count": self.count}

    def __repr__(self) -> str:
        return f"RandomSubset([{self.names}], count={self.count})"
