"""Mixing by regions: every pixel is of one example or of the other."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kd_keras.arguments import check_number
from kd_keras.augment.draws import Draws
from kd_keras.augment.layers.mixing import Mixing
from kd_keras.augment.places import leaves
from kd_keras.training.batch import Batch


class RegionMixing(Mixing):
    """Mixing by regions of an image, for which one label an image is needed, or one a pixel.

    Args:
        alpha: Both parameters of the Beta distribution of the share, > 0.
        seed: Seed for use outside of a `Policy`; inside, the policy's seed rules.
    """

    def check(self, views: Batch) -> None:
        super().check(views)
        name = type(self).__name__
        if len(views.x.shape) != 4:
            raise ValueError(
                f"{name} needs images of shape (batch, height, width, channels). Received: shape "
                f"{tuple(views.x.shape)}. Use MixUp for other inputs."
            )
        maps = {part.path for part in views.spatial or () if part.of == "y"}
        for path, label in leaves(views.y):
            if path not in maps and len(getattr(label, "shape", ())) >= 3:
                raise ValueError(
                    f"{name} needs one label for each image. Received: dense labels of shape "
                    f"{tuple(label.shape)}, for which no single share is right. In `fit` label "
                    "maps of the size of the images are pasted; called on a dict, those under "
                    "'segmentation_masks'. Or use kd_keras.augment.MixUp, whose share holds at "
                    "every pixel."
                )


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


@keras.saving.register_keras_serializable(package="kd_keras")
class FMix(RegionMixing):
    """Fill regions of each image, cut out of low-frequency noise, from a partner.

    Noise of the spectrum N(0, 1) + i N(0, 1), divided by frequency^decay, is transformed back; the
    lambda * height * width highest pixels (rounded) keep the image, the others show the partner,
    lambda ~ Beta(alpha, alpha). The share is that of the pixels, so labels match them exactly.
    `labels` is the label of the larger share, `second_labels` the other one, `share` >= 0.5 the
    former's; labels and weights are never blended. Label maps are cut by the same regions.

    Args:
        alpha: Both parameters of the Beta distribution, > 0.
        decay: How fast high frequencies fade, >= 0: higher gives fewer and smoother regions.
        seed: Seed for use outside of a `Policy`; inside, the policy's seed rules.

    Raises:
        ValueError: If `alpha` or `decay` is out of range, or on dense labels that are not known to
            belong to the pixels, for which there is no single share.

    Reference:
        Harris et al., "FMix: Enhancing Mixed Sample Data Augmentation", arXiv:2002.12047.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import FMix
    >>> batch = {"images": tf.zeros((4, 8, 8, 1)), "labels": tf.constant([3, 1, 4, 1])}
    >>> sorted(FMix()(batch, step=5))
    ['images', 'labels', 'second_labels', 'share']
    """

    def __init__(self, alpha: float = 1.0, decay: float = 3.0, seed: int = 0):
        super().__init__(alpha, seed)
        self.decay = float(check_number("decay", decay, low=0))

    def blend(
        self, own: tf.Tensor, partner: tf.Tensor, share: tf.Tensor, draws: Draws
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        height, width = tf.unstack(tf.shape(own)[1:3])
        pixels = height * width
        noise = tf.reshape(self._smooth_noise(height, width, share, draws), [-1, pixels])
        kept = tf.cast(tf.round(share * tf.cast(pixels, tf.float32)), tf.int32)
        # Ranks rather than a threshold: the count is exact even where two pixels are equal.
        ranks = tf.argsort(tf.argsort(noise, axis=1, direction="DESCENDING"), axis=1)
        keep = tf.reshape(ranks < kept[:, None], [-1, height, width, 1])
        real_share = tf.cast(kept, tf.float32) / tf.cast(pixels, tf.float32)
        return tf.where(keep, own, partner), real_share, keep

    def _smooth_noise(
        self, height: tf.Tensor, width: tf.Tensor, share: tf.Tensor, draws: Draws
    ) -> tf.Tensor:
        """Return noise whose spectrum falls with the frequency, `(batch, height, width)`."""
        half = width // 2 + 1
        rows = tf.cast(tf.minimum(tf.range(height), height - tf.range(height)), tf.float32)
        rows /= tf.cast(height, tf.float32)
        columns = tf.cast(tf.range(half), tf.float32) / tf.cast(width, tf.float32)
        frequency = tf.sqrt(tf.square(rows)[:, None] + tf.square(columns))
        # The mean of the noise has frequency 0; it moves no rank, but must not divide by zero.
        lowest = 1.0 / tf.cast(tf.maximum(height, width), tf.float32)
        fading = tf.pow(tf.maximum(frequency, lowest), -self.decay)
        shape = (tf.shape(share)[0], height, half)
        spectrum = tf.complex(draws.normal(shape) * fading, draws.normal(shape) * fading)
        return tf.signal.irfft2d(spectrum, tf.stack([height, width]))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "decay": self.decay}
