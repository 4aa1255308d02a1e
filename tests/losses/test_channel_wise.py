"""Channel-wise distillation: values by hand, what changes nothing, pixels that do not count."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.losses import ChannelWise, channel_wise


def random_maps(seed, shape):
    return 2 * np.random.default_rng(seed).normal(size=shape).astype("float32")


def by_hand(teacher, student, temperature):
    """The value of one example, channel by channel and place by place."""
    values = []
    for channel in range(teacher.shape[-1]):
        t, s = (np.exp(maps[..., channel].ravel() / temperature) for maps in (teacher, student))
        p, q = t / t.sum(), s / s.sum()
        values.append(temperature**2 * np.sum(p * np.log(p / q)))
    return np.mean(values)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("positions", [(4, 3), (5,)])
def test_values_are_those_of_an_independent_computation(positions, temperature):
    teacher, student = random_maps(0, (3, *positions, 2)), random_maps(1, (3, *positions, 2))
    expected = [by_hand(t, s, temperature) for t, s in zip(teacher, student, strict=True)]
    values = ChannelWise(temperature).per_example(teacher, student)
    np.testing.assert_allclose(values, expected, rtol=1e-4)


def test_a_constant_added_to_a_channel_changes_nothing_and_one_added_to_a_pixel_does():
    teacher, student = random_maps(0, (2, 4, 4, 3)), random_maps(1, (2, 4, 4, 3))
    loss = ChannelWise()
    expected = loss.per_example(teacher, student)
    moved = student + np.array([5.0, -2.0, 1.0], "float32")
    np.testing.assert_allclose(loss.per_example(teacher, moved), expected, rtol=1e-4)
    moved = student + random_maps(2, (2, 4, 4, 1))
    assert not np.allclose(loss.per_example(teacher, moved), expected, rtol=0.1)
    np.testing.assert_allclose(loss.per_example(teacher, teacher), np.zeros(2), atol=1e-5)


def test_the_larger_map_is_averaged_and_channels_are_adapted():
    teacher, student = random_maps(0, (2, 4, 4, 5)), random_maps(1, (2, 8, 8, 2))
    loss = ChannelWise(1.0, "features", "features")
    loss.build(teacher.shape, student.shape)
    kernel, bias = (np.array(weight) for weight in loss.adapters.weights)
    adapted = (student @ kernel + bias).reshape(2, 4, 2, 4, 2, 5).mean((2, 4))
    expected = [by_hand(t, s, 1.0) for t, s in zip(teacher, adapted, strict=True)]
    np.testing.assert_allclose(loss.per_example(teacher, student), expected, rtol=1e-4)


def test_pixels_without_weight_are_left_out_and_get_no_gradient():
    teacher, student = random_maps(0, (2, 6, 3)), random_maps(1, (2, 6, 3))
    weight = np.ones((2, 6), "float32")
    weight[0, 4:] = 0
    weight[1] = 0
    variable = tf.Variable(student)
    with tf.GradientTape() as tape:
        values = ChannelWise(1.0).per_example(teacher, variable, sample_weight=weight)
    kept = by_hand(teacher[0, :4], student[0, :4], 1.0)
    np.testing.assert_allclose(values, [kept * 4 / 6, 0.0], rtol=1e-4)
    gradient = tape.gradient(values, variable).numpy()
    assert np.any(gradient[0, :4])
    np.testing.assert_array_equal(gradient[weight == 0], 0.0)
    masked = tf.constant(student)
    masked._keras_mask = tf.constant(weight > 0)
    np.testing.assert_allclose(
        ChannelWise(1.0).per_example(teacher, masked), [kept, 0.0], rtol=1e-4
    )
    np.testing.assert_allclose(
        ChannelWise(1.0).per_example(teacher, student, sample_weight=np.array([2.0, 0.5])),
        [2 * by_hand(teacher[0], student[0], 1.0), by_hand(teacher[1], student[1], 1.0) / 2],
        rtol=1e-4,
    )


def test_labels_that_are_none_are_not_taught_in_fit():
    def net(seed):
        inputs = keras.Input((4, 4, 1))
        kernel = keras.initializers.RandomNormal(seed=seed)
        return keras.Model(inputs, keras.layers.Conv2D(2, 3, kernel_initializer=kernel)(inputs))

    x = random_maps(0, (3, 4, 4, 1))
    y = np.zeros((3, 2, 2), "int32")
    y[:, 0] = 255
    teacher, student = net(1), net(2)
    distiller = kd_keras.Distiller(teacher, student, ChannelWise(1.0), student_loss_weight=0.0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
    distiller.compile("sgd", loss, run_eagerly=True)
    logs = distiller.evaluate(x, y, verbose=0, return_dict=True)
    below = [
        by_hand(t[1:], s[1:], 1.0)
        for t, s in zip(teacher(x).numpy(), student(x).numpy(), strict=True)
    ]
    assert logs["distillation_loss"] == pytest.approx(np.mean(below), rel=1e-4)


def test_one_label_per_image_is_refused():
    with pytest.raises(ValueError, match="compares maps.*for one label per image use"):
        ChannelWise().compute_loss(np.zeros((2, 5)), np.zeros((2, 5)))
    with pytest.raises(ValueError, match="as many channels.*Leave `adapter` out"):
        ChannelWise(adapter=False).compute_loss(np.zeros((2, 5, 3)), np.zeros((2, 5, 2)))
    assert channel_wise(np.zeros((2, 5, 3)), np.zeros((2, 5, 3))).shape == (2,)
