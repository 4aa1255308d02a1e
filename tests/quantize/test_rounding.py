"""The rounding against values worked out by hand, and its gradient."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from kd_keras.quantize.rounding import round_in_range, round_per_channel, round_per_tensor


def test_every_channel_has_the_scale_of_its_largest_weight():
    # Channel 0: scale 1.27 / 127 = 0.01. Channel 1: 0.0127 / 127 = 0.0001.
    kernel = tf.constant([[[[1.27, 0.0127], [-0.333, -0.00333], [0.0049, 0.000151]]]])

    got = round_per_channel(kernel).numpy()

    np.testing.assert_allclose(
        got, [[[[1.27, 0.0127], [-0.33, -0.0033], [0.0, 0.0002]]]], atol=1e-7
    )


def test_a_kernel_rounded_as_a_whole_has_one_scale():
    kernel = tf.constant([[1.27, 0.0127], [-0.333, -0.00333]])

    got = round_per_tensor(kernel).numpy()

    np.testing.assert_allclose(got, [[1.27, 0.01], [-0.33, 0.0]], atol=1e-7)


def test_a_channel_of_zeros_stays_zero():
    assert not np.any(round_per_channel(tf.zeros((3, 3, 2, 4))))
    assert not np.any(round_per_tensor(tf.zeros((3, 4))))


def test_the_gradient_of_a_kernel_passes_through_unchanged():
    kernel = tf.Variable(np.random.default_rng(0).normal(size=(3, 3, 4, 5)).astype("float32"))
    weight = tf.constant(np.random.default_rng(1).normal(size=(3, 3, 4, 5)).astype("float32"))
    for function in (round_per_channel, round_per_tensor):
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(function(kernel) * weight)
        # The largest weights set the range and are hit as well: theirs is not lost.
        np.testing.assert_allclose(tape.gradient(value, kernel), weight, rtol=1e-6)


def test_values_are_rounded_to_the_levels_of_the_range_and_clipped():
    # -1..2 has steps of 3 / 255 and zero is level 85 of it.
    values = tf.constant([-5.0, -1.0, -0.0059, 0.0, 0.0058, 0.0177, 1.0, 2.0, 7.0])

    got = round_in_range(values, -1.0, 2.0).numpy()

    step = 3 / 255
    expected = [-85, -85, -1, 0, 0, 2, 85, 170, 170]
    np.testing.assert_allclose(got / step, expected, atol=1e-4)


def test_bytes_pass_through_the_range_0_to_255_unchanged():
    values = tf.range(256, dtype=tf.float32)
    np.testing.assert_array_equal(round_in_range(values, 0.0, 255.0), values)


def test_a_range_is_shifted_so_that_zero_is_a_level():
    # 0 would be level 127.5 of -1..1, whose steps are 2 / 255.
    got = round_in_range(tf.linspace(-2.0, 2.0, 2001), -1.0, 1.0).numpy() * 255 / 2
    np.testing.assert_allclose(got, np.round(got), atol=1e-4)
    assert len(np.unique(np.round(got))) == 256
    assert 0 in np.round(got)
    assert 127 <= -got.min() <= 128.001


def test_the_gradient_stops_outside_the_range():
    values = tf.Variable([-2.0, -0.9, 0.0, 1.9, 3.0])
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(round_in_range(values, -1.0, 2.0))
    assert tape.gradient(total, values).numpy().tolist() == [0, 1, 1, 1, 0]
