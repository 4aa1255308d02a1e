"""Attacks: where they go on a linear model is known, and what they may not do."""

from __future__ import annotations

from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras.evaluate import accuracy, cross_entropy, fgsm, pgd, predict_logits

IMAGES = np.random.default_rng(0).integers(0, 256, (16, 6, 6, 1), dtype="uint8")
LABELS = np.arange(16) % 3


def linear(kernel):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, use_bias=False)])
    model.set_weights([np.array(kernel, "float32")])
    return model


@pytest.fixture(scope="module")
def net():
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3, activation="tanh", kernel_initializer=_initial(1)),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(3, kernel_initializer=_initial(2)),
        ]
    )


def _initial(seed):
    return keras.initializers.GlorotUniform(seed)


def test_one_step_goes_against_the_gradient_of_the_right_class():
    # Class 0 wants a large first and a small second pixel.
    model = linear([[1.0, 0.0], [-2.0, 0.0]])
    got = fgsm(model, np.array([[100.0, 100.0], [3.0, 250.0]]), [0, 0], epsilon=8.0)
    np.testing.assert_array_equal(got, [[92, 108], [0, 255]])
    np.testing.assert_array_equal(fgsm(model, np.array([[9.0, 9.0]]), [1], 8.0), [[17, 1]])


def test_many_steps_reach_the_corner_of_the_ball_and_not_further():
    model = linear([[1.0, 0.0], [-2.0, 0.0]])
    got = pgd(model, np.array([[100.0, 100.0]]), [0], epsilon=8.0, step_size=3.0, steps=10)
    np.testing.assert_array_equal(got, [[92, 108]])
    got = pgd(model, np.array([[100.0, 100.0]]), [0], 8.0, 3.0, 2, seed=None)
    np.testing.assert_array_equal(got, [[94, 106]])


@pytest.mark.parametrize("attack", [fgsm, pgd])
def test_pixels_stay_in_range_and_within_epsilon(net, attack):
    changed = attack(net, IMAGES, LABELS, epsilon=8.0).numpy()
    assert changed.dtype == np.float32
    assert changed.min() >= 0 and changed.max() <= 255
    difference = np.abs(changed - IMAGES.astype("float32"))
    assert 7 < difference.max() <= 8 + 1e-4


def test_attacks_raise_the_loss_and_many_steps_raise_it_more(net):
    split = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(5)

    def loss(change):
        return cross_entropy(*predict_logits(net, split, change=change))

    clean, one, many = loss(None), loss(partial(fgsm, net)), loss(partial(pgd, net))
    assert clean < one
    assert clean < many
    assert many >= loss(partial(pgd, net, steps=1)) - 1e-6
    assert accuracy(*predict_logits(net, split, change=partial(pgd, net))) <= accuracy(
        *predict_logits(net, split)
    )


def test_an_image_is_attacked_alike_in_any_batch_and_nothing_of_the_model_moves(net):
    before = [weight.numpy().copy() for weight in net.weights]
    together = fgsm(net, IMAGES, LABELS)
    alone = fgsm(net, IMAGES[3:4], LABELS[3:4])
    np.testing.assert_allclose(together[3:4], alone)
    for weight, value in zip(net.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)


def test_the_random_start_repeats_under_a_seed(net):
    first, again = (pgd(net, IMAGES, LABELS, steps=1, seed=3) for _ in range(2))
    other = pgd(net, IMAGES, LABELS, steps=1, seed=4)
    np.testing.assert_array_equal(first, again)
    assert (first.numpy() != other.numpy()).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": 0}, "`epsilon` must be a finite number > 0"),
        ({"epsilon": 8.0, "value_range": (0, 1)}, "`epsilon` is in the unit of the images"),
        ({"value_range": (1, 0)}, "`value_range` must be"),
        ({"steps": 0}, "`steps` must be an integer >= 1"),
        ({"step_size": -1.0}, "`step_size` must be a finite number > 0"),
    ],
)
def test_settings_out_of_range_are_refused(net, options, message):
    with pytest.raises(ValueError, match=message):
        pgd(net, IMAGES, LABELS, **options)
