"""CutMix: a view is an example with a rectangle of another in it."""

from __future__ import annotations

import keras
import tensorflow as tf

from kd_keras.augment.draws import Draws
from kd_keras.augment.layers.region_mixing import RegionMixing


@keras.saving.register_keras_serializable(package="kd_keras")
class CutMix(RegionMixing):
    """Paste a rectangle of a partner into each image; shares are counted in pixels.

    The rectangle has sides sqrt(1 - lambda) of the image's, lambda ~ Beta(alpha, alpha), and its
    centre anywhere. Where it leaves the image it is cut off, and

        share = 1 - (pixels of the rectangle inside the image) / (pixels of the image),

    so labels match the pixels exactly. `labels` is the label of the larger share, `second_labels`
    the other one, `share` >= 0.5 the former's; labels and weights are never blended. Label maps are
    pasted by the same rectangle: where there are no other labels, nothing is left to share.

    Args:
        alpha: Both parameters of the Beta distribution, > 0.
        seed: Seed for use outside of a `Policy`; inside, the policy's seed rules.

    Raises:
        ValueError: On dense labels that are not known to belong to the pixels, for which there is
            no single share.

    Reference:
        Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable
        Features", arXiv:1905.04899.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import CutMix
    >>> batch = {"images": tf.zeros((4, 8, 8, 1)), "labels": tf.constant([3, 1, 4, 1])}
    >>> CutMix()(batch, step=5)["share"].shape
    TensorShape([4])
    """

    def __init__(self, alpha: float = 1.0, seed: int = 0):
        super().__init__(alpha, seed)

    def blend(
        self, own: tf.Tensor, partner: tf.Tensor, share: tf.Tensor, draws: Draws
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        shape = tf.shape(own)
        side = tf.sqrt(1.0 - share)
        rows_inside, heights = _interval(side, shape[1], draws)
        columns_inside, widths = _interval(side, shape[2], draws)
        inside = tf.logical_and(rows_inside[:, :, None, None], columns_inside[:, None, :, None])
        pasted = tf.cast(heights * widths, tf.float32)
        kept = 1.0 - pasted / tf.cast(shape[1] * shape[2], tf.float32)
        return tf.where(inside, partner, own), kept, tf.logical_not(inside)


def _interval(side: tf.Tensor, size: tf.Tensor, draws: Draws) -> tuple[tf.Tensor, tf.Tensor]:
    """Return which indices of an axis the rectangles cover, `(batch, size)`, and how many."""
    half = tf.cast(side * tf.cast(size, tf.float32), tf.int32) // 2
    centre = draws.uniform(tf.shape(side), 0, size, tf.int32)
    low = tf.maximum(centre - half, 0)
    high = tf.minimum(centre + half, size)
    positions = tf.range(size)
    inside = tf.logical_and(positions >= low[:, None], positions < high[:, None])
    return inside, high - low
