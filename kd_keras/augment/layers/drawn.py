"""Augmentations of ours that take their random numbers explicitly."""

from __future__ import annotations

import abc
from typing import Any

import tensorflow as tf

from kd_keras.arguments import check_seed
from kd_keras.augment.contract import Augmentation
from kd_keras.augment.draws import Draws, own_key
from kd_keras.augment.following import follow
from kd_keras.augment.geometry import Move
from kd_keras.augment.pixelwise import keeps_positions
from kd_keras.augment.places import refuse_unmovable
from kd_keras.augment.rows import local_rows
from kd_keras.augment.value_range import as_dtype
from kd_keras.training.batch import Batch


class Drawn(Augmentation):
    """An augmentation that a `Policy` hands its draws, and that draws by its own seed alone.

    Args:
        seed: Seed for use outside of a `Policy`; inside, the policy's seed rules.
    """

    minds_annotations = True

    def __init__(self, seed: int = 0):
        self.seed = check_seed(seed)

    @abc.abstractmethod
    def apply(self, views: Batch, draws: Draws) -> Batch:
        """Return `views`, whose `x` is floating, augmented by the numbers of `draws`."""

    def geometry(self, images: tf.Tensor, draws: Draws) -> list[Move] | None:
        """Return where `apply` moves pixels, by the same numbers; `None` if nobody can say."""
        return None

    def moving(self, views: Batch, draws: Draws) -> Batch:
        """Return what `apply` returns, with the labels that belong to places moved alike.

        Raises:
            ValueError: If there are such labels, and they cannot be moved.
        """
        parts = views.spatial
        if not parts or keeps_positions(self):
            return self.apply(views, draws)
        moves = self.geometry(views.x, draws.on(draws.rows))
        if moves is None:
            refuse_unmovable(self, parts)
        after = self.apply(views, draws)
        return follow(self, views, after.x, moves)._replace(extras=after.extras)

    def check_range(self, value_range: tuple[float, float]) -> None:
        """Raise if images in `value_range` are not what this augmentation was made for.

        A `Policy` asks before anything is drawn. Most augmentations work in any range.
        """

    def augment(self, views: Batch, step: Any) -> Batch:
        x = tf.convert_to_tensor(views.x)
        if x.dtype.is_integer and len(x.shape) != 4:
            raise ValueError(
                f"{type(self).__name__} works on images or on floats; ids of tokens or categories "
                f"have no value in between. Received: x of dtype {x.dtype.name} and shape "
                f"{tuple(x.shape)}."
            )
        draws = Draws(own_key(type(self).__name__, self.seed), step, local_rows(x))
        views = self.moving(views._replace(x=tf.cast(x, tf.float32)), draws)
        return views._replace(x=as_dtype(views.x, x.dtype))
