"""MixUp: a view is the weighted mean of two examples."""

from __future__ import annotations

import keras
import tensorflow as tf

from kd_keras.augment.draws import Draws
from kd_keras.augment.layers.mixing import Mixing


@keras.saving.register_keras_serializable(package="kd_keras")
class MixUp(Mixing):
    """Blend each example with a partner: x = lambda * x_a + (1 - lambda) * x_b.

    lambda ~ Beta(alpha, alpha), one for each view. Labels and weights of both examples come along
    with the share, and are never blended themselves: `labels` (of the larger share),
    `second_labels`, and `share` >= 0.5. A loss takes share * loss(labels) + (1 - share) *
    loss(second_labels), as the Distiller does. Works on any floating inputs, images of whole
    numbers (rounded), and on label maps, which are mixed as other labels are.

    Args:
        alpha: Both parameters of the Beta distribution, > 0.
        seed: Seed for use outside of a `Policy`; inside, the policy's seed rules.

    Reference:
        Zhang et al., "mixup: Beyond Empirical Risk Minimization", arXiv:1710.09412.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import MixUp
    >>> batch = {"images": tf.zeros((4, 8, 8, 1)), "labels": tf.constant([3, 1, 4, 1])}
    >>> sorted(MixUp(alpha=0.2)(batch, step=5))
    ['images', 'labels', 'second_labels', 'share']
    """

    def __init__(self, alpha: float = 0.2, seed: int = 0):
        super().__init__(alpha, seed)

    def blend(
        self, own: tf.Tensor, partner: tf.Tensor, share: tf.Tensor, draws: Draws
    ) -> tuple[tf.Tensor, tf.Tensor, None]:
        weight = tf.reshape(share, [-1, *[1] * (len(own.shape) - 1)])
        return weight * own + (1.0 - weight) * partner, share, None
