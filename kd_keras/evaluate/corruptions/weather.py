"""Corruptions that the weather makes. The textures are generated from the seed."""

from __future__ import annotations

import math

import tensorflow as tf

from kd_keras.evaluate.corruptions.draws import Draws
from kd_keras.evaluate.corruptions.geometry import cloud, moved_blur, scale_of, zoomed


def snow(image: tf.Tensor, severity: int, draws: Draws) -> tf.Tensor:
    """Whiten the scene and let flakes fall."""
    mean, deviation, zoom, least, reach, spread, keep = (
        (0.1, 0.2, 1.0, 0.6, 8, 3.0, 0.95),
        (0.1, 0.2, 1.0, 0.5, 10, 4.0, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4.0, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6.0, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12.0, 0.8),
    )[severity - 1]
    scale = scale_of(image)
    flakes = zoomed(draws.normal((*image.shape[:2], 1), deviation, mean), zoom)
    flakes = tf.where(flakes < least, 0.0, tf.minimum(flakes, 1.0))
    angle = draws.uniform((), math.pi / 4, 3 * math.pi / 4)
    flakes = moved_blur(flakes, reach * scale, spread * scale, angle)
    white = tf.maximum(image, tf.reduce_mean(image, axis=-1, keepdims=True) * 1.5 + 0.5)
    return keep * image + (1 - keep) * white + flakes + tf.reverse(flakes, axis=[0, 1])


def frost(image: tf.Tensor, severity: int, draws: Draws) -> tf.Tensor:
    """Lay crystals of ice over the scene.

    The reference lays photographs of frosted windows over it. Here the ice is a fractal field whose
    ridges are bright, so figures are not comparable with those of the reference for this one.
    """
    keep, ice = ((1.0, 0.2), (1.0, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))[severity - 1]
    ridges = 1 - tf.abs(2 * cloud(image, 1.3, draws) - 1)
    # Ice is a little blue where there are colours.
    tint = tf.constant([0.85, 0.95, 1.0]) if image.shape[-1] == 3 else 1.0
    return keep * image + ice * ridges**2 * tint


def fog(image: tf.Tensor, severity: int, draws: Draws) -> tf.Tensor:
    """Add a cloud and take back the contrast."""
    amount, decay = ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75))[severity - 1]
    brightest = tf.reduce_max(image)
    foggy = image + amount * cloud(image, decay, draws)
    return foggy * brightest / tf.maximum(brightest + amount, 1e-6)


def brightness(image: tf.Tensor, severity: int, draws: Draws) -> tf.Tensor:
    """Brighten: add to the value of each pixel, its hue and saturation kept."""
    amount = (0.05, 0.1, 0.15, 0.2, 0.3)[severity - 1]
    value = tf.reduce_max(image, axis=-1, keepdims=True)
    # All channels grow by the factor by which the largest grows; black has no hue to keep.
    factor = tf.minimum(value + amount, 1.0) / tf.maximum(value, 1e-6)
    return tf.where(value > 0, image * factor, amount)
