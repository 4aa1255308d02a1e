"""What MixUp, CutMix and FMix share: partners from the global batch, labels gathered by index."""

from __future__ import annotations

import abc
from typing import Any

import keras
import tensorflow as tf

from kd_keras.arguments import check_number
from kd_keras.augment.draws import Draws
from kd_keras.augment.following import with_labels
from kd_keras.augment.layers.drawn import Drawn
from kd_keras.augment.places import at, changed, refuse_unmovable
from kd_keras.augment.rows import gather_global
from kd_keras.training.batch import CHOICE, Batch, Mix


class Mixing(Drawn):
    """Show each example together with a partner, and say how much of which is there.

    The partner of the example at position i of a global batch of N is at (i + shift) mod N, with
    one shift in 1 .. N-1 for each step: everybody has a partner, and nobody itself. Labels and
    weights are picked, never blended, so they may have any format. Label maps of a layer that
    pastes pixels are pasted as the pixels are.

    Args:
        alpha: Both parameters of the Beta distribution of the share, > 0. Small values leave most
            views nearly pure; 1 makes all shares equally likely.
        seed: Seed for use outside of a `Policy`; inside, the policy's seed rules.
    """

    def __init__(self, alpha: float, seed: int = 0):
        super().__init__(seed)
        remedy = "To switch mixing off leave the layer out."
        self.alpha = float(check_number("alpha", alpha, above=0, remedy=remedy))

    @abc.abstractmethod
    def blend(
        self, own: tf.Tensor, partner: tf.Tensor, share: tf.Tensor, draws: Draws
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        """Return the mixed inputs, the share of `own` that is really in them, and where it is.

        That is `(batch, height, width, 1)` bool where each pixel is of one of the two, else `None`.

        Args:
            own: Inputs, `(batch, ...)`, float.
            partner: Inputs of the partners.
            share: Wanted share of `own`, `(batch,)` in `[0, 1]`.
            draws: Random numbers for the rest.
        """

    def check(self, views: Batch) -> None:
        """Raise if the views do not allow this kind of mixing."""
        if views.mix is not None:
            raise ValueError(
                f"{type(self).__name__} met views that are mixed already; after a second mixing a "
                "view has up to four labels. Keep one of MixUp, CutMix and FMix."
            )

    def apply(self, views: Batch, draws: Draws) -> Batch:
        self.check(views)
        rows = draws.rows
        others = tf.maximum(rows.total - 1, 1)
        shift = 1 + draws.uniform((), 0, others, tf.int32)
        partner = tf.math.floormod(rows.index + shift, tf.maximum(rows.total, 1))
        wanted = draws.beta((tf.shape(rows.index)[0],), self.alpha)
        other = tf.gather(gather_global(views.x), partner)
        x, share, kept = self.blend(views.x, other, wanted, draws)
        is_first = share >= 0.5
        first = tf.where(is_first, rows.index, partner)
        second = tf.where(is_first, partner, rows.index)
        mixed = Batch(
            x=tf.ensure_shape(x, views.x.shape),
            y=_pick(views.y, first),
            weight=_pick(views.weight, first),
            spatial=views.spatial,
            mix=Mix(
                _pick(views.y, second),
                _pick(views.weight, second),
                lam=tf.where(is_first, share, 1.0 - share),
            ),
            # A view of two examples went through no single transform.
            extras={k: _pick(v, first) for k, v in views.extras.items() if k != CHOICE},
        )
        if kept is None or not views.spatial:
            return mixed
        return _pasted(mixed, views, partner, kept)

    def moving(self, views: Batch, draws: Draws) -> Batch:
        parts = tuple(part for part in views.spatial or () if part.kind != "map")
        if parts:
            refuse_unmovable(self, parts)
        return self.apply(views, draws)

    def get_config(self) -> dict[str, Any]:
        return {"alpha": self.alpha, "seed": self.seed}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(alpha={self.alpha:g})"


def _pasted(mixed: Batch, views: Batch, partner: tf.Tensor, kept: tf.Tensor) -> Batch:
    """Return mixed views whose label maps are pasted as their pixels are.

    Args:
        mixed: With maps picked whole.
        views: What was mixed.
        partner: Global position of the partner of each example.
        kept: Where pixels are of the example itself, `(batch, height, width, 1)` bool.
    """

    def paste(own: Any) -> tf.Tensor:
        own = tf.convert_to_tensor(own)
        other = tf.gather(gather_global(own), partner)
        # Weights of examples become those of pixels.
        shape = [*tf.unstack(tf.shape(own)), *[1] * (3 - len(own.shape))]
        where = kept if len(own.shape) == 4 else kept[..., 0]
        return tf.where(where, tf.reshape(own, shape), tf.reshape(other, shape))

    parts = views.spatial or ()
    if len(parts_of_y := [p for p in parts if p.of == "y"]) == len(keras.tree.flatten(views.y)):
        # Each pixel has one label, so no label has a share in a view.
        y = views.y
        for part in parts_of_y:
            y = changed(y, part.path, paste(at(y, part.path)))
        weight = None
        if views.weight is not None:
            weight = keras.tree.map_structure(
                lambda w: None if w is None else paste(w), views.weight
            )
        return mixed._replace(y=y, weight=weight, mix=None)
    # The loss of a pasted map is shared with itself, so that it counts once.
    return with_labels(mixed, lambda part, _: paste(at(getattr(views, part.of), part.path)))


def _pick(structure: Any, index: tf.Tensor) -> Any:
    """Return, for each view, the entry at the global position that `index` gives."""

    def pick(leaf: Any) -> Any:
        if leaf is None:
            return None
        tensor = tf.convert_to_tensor(leaf)
        return tf.ensure_shape(tf.gather(gather_global(tensor), index), tensor.shape)

    return keras.tree.map_structure(pick, structure)
