"""AugMix: the image mixed with chains of changes of itself."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kd_keras.arguments import check_number, is_integer
from kd_keras.augment.calling import refuse_per_pixel_labels
from kd_keras.augment.draws import Draws
from kd_keras.augment.layers.chosen import OfLayers, apply_choice
from kd_keras.augment.rows import Rows
from kd_keras.training.batch import Batch


@keras.saving.register_keras_serializable(package="kd_keras")
class AugMix(OfLayers):
    """Blend each image with several chains of randomly chosen layers, all applied to itself.

        m * x + (1 - m) * (w_1 * chain_1(x) + ... + w_width * chain_width(x))

    m ~ Beta(alpha, alpha), w ~ Dirichlet(alpha, ..., alpha). A chain is `depth` layers, each chosen
    anew out of `layers`, one after the other. A view is a mean, so it stays in the range in which
    the layers leave the images. The label stays, and is not shown to the layers; the paper's
    Jensen-Shannon loss is not part of this layer. All chains go through a layer together, so the
    cost is about that of `width * depth` layers.

    Args:
        layers: keras-cv layers, our own, or callables on images, that keep the size of the image.
        width: Chains for each image, at least 1.
        depth: Layers in a chain, at least 1; or `(low, high)`, from which each chain draws an
            integer, both included.
        alpha: All parameters of the Beta and Dirichlet distributions, > 0.
        seed: Seed for use outside of a `Policy`; inside, the policy's seed rules.

    Raises:
        TypeError: If a layer cannot be called on images.
        ValueError: If an argument is out of range.

    Reference:
        Hendrycks et al., "AugMix: A Simple Data Processing Method to Improve Robustness and
        Uncertainty", arXiv:1912.02781.

    Example:

    >>> import keras_cv
    >>> import tensorflow as tf
    >>> from kd_keras.augment import AugMix, Policy, Posterize
    >>> mix = AugMix([keras_cv.layers.RandomRotation(0.1), Posterize(bits=(4, 7))])
    >>> Policy([mix], seed=3)(tf.zeros((4, 8, 8, 3))).shape
    TensorShape([4, 8, 8, 3])
    """

    def __init__(
        self,
        layers: Any,
        width: int = 3,
        depth: int | tuple[int, int] = (1, 3),
        alpha: float = 1.0,
        seed: int = 0,
    ):
        super().__init__(layers, seed)
        if not self.layers:
            raise ValueError("`layers` must hold at least one layer. Received: layers=[]")
        bounds = list(depth) if isinstance(depth, (tuple, list)) else [depth, depth]
        for argument, counts, given in (("width", [width], width), ("depth", bounds, depth)):
            whole = all(map(is_integer, counts))
            if not whole or not counts or not 1 <= counts[0] <= counts[-1] or len(counts) > 2:
                pair = " or (low, high) of two such" if argument == "depth" else ""
                raise ValueError(
                    f"`{argument}` must be an integer of at least 1{pair}. Received: "
                    f"{argument}={given!r}"
                )
        self.width = int(width)
        self.depth = list(map(int, bounds))
        self.alpha = float(check_number("alpha", alpha, above=0))

    def apply(self, views: Batch, draws: Draws) -> Batch:
        images = views.x
        refuse_per_pixel_labels(self, views)
        count, width = tf.shape(draws.rows.index)[0], self.width
        share = draws.beta((count, 1, 1, 1), self.alpha)
        weights = draws.dirichlet((count, width), self.alpha)[:, :, None, None, None]

        chain_draws = draws.child(0, _of_chains(draws.rows, width))
        shape = (count * width,)
        depth = chain_draws.uniform(shape, self.depth[0], self.depth[1] + 1, tf.int32)

        def next_layer(place: tf.Tensor, chains: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            here = chain_draws.lap(place)
            choice = here.uniform(shape, 0, len(self.layers), tf.int32)
            choice = tf.where(place < depth, choice, -1)
            return place + 1, apply_choice(self.layers, chains, choice, here)

        chains = tf.ensure_shape(tf.repeat(images, width, axis=0), [None, *images.shape[1:]])
        # A loop in the graph: tracing all layers for each place would take seconds.
        _, chains = tf.while_loop(
            lambda place, chains: place < self.depth[1], next_layer, (tf.constant(0), chains)
        )
        chains = tf.reshape(chains, [count, width, *tf.unstack(tf.shape(images)[1:])])
        mixed = tf.reduce_sum(weights * chains, axis=1)
        mixed = images + (1.0 - share) * (mixed - images)
        return views._replace(x=tf.ensure_shape(mixed, images.shape))

    def get_config(self) -> dict[str, Any]:
        own = {"width": self.width, "depth": self.depth, "alpha": self.alpha}
        return {**super().get_config(), **own}

    def __repr__(self) -> str:
        return f"AugMix([{self.names}], width={self.width}, depth={tuple(self.depth)})"


def _of_chains(rows: Rows, width: int) -> Rows:
    """Return the positions of `width` chains for each example, those of one example together."""
    index = tf.reshape(rows.index[:, None] * width + tf.range(width), [-1])
    return Rows(index, rows.extent * width, rows.total * width, rows.leading)
