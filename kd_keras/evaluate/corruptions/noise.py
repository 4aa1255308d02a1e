"""Corruptions that add noise to each value on its own."""

from __future__ import annotations

import tensorflow as tf

from kd_keras.evaluate.corruptions.draws import Draws


def gaussian_noise(image: tf.Tensor, severity: int, draws: Draws) -> tf.Tensor:
    """Add normal noise, as a sensor in low light does."""
    deviation = (0.04, 0.06, 0.08, 0.09, 0.10)[severity - 1]
    return image + draws.normal(tf.shape(image), deviation)


def shot_noise(image: tf.Tensor, severity: int, draws: Draws) -> tf.Tensor:
    """Draw each value from a Poisson distribution: light comes in quanta."""
    quanta = (500.0, 250.0, 100.0, 75.0, 50.0)[severity - 1]
    return draws.poisson(image * quanta) / quanta


def impulse_noise(image: tf.Tensor, severity: int, draws: Draws) -> tf.Tensor:
    """Set some values to black or white, in equal parts."""
    amount = (0.01, 0.02, 0.03, 0.05, 0.07)[severity - 1]
    where = draws.uniform(tf.shape(image))
    return tf.where(where < amount / 2, 0.0, tf.where(where < amount, 1.0, image))
