import json

import keras
import keras_cv
import numpy as np
import pytest
import tensorflow as tf

from kd_keras.augment import GaussianNoise, MixUp, Policy, RandomSubset


@keras.saving.register_keras_serializable(package="kd_keras_tests")
class Add(keras.layers.Layer):
    def __init__(self, value, **kwargs):
        super().__init__(**kwargs)
        self.value = value

    def call(self, images):
        return images + self.value

    def get_config(self):
        return {**super().get_config(), "value": self.value}


def powers(count):
    """Layers of which each sets its own bit of a zero image."""
    return [Add(float(2**index)) for index in range(count)]


def bits(views):
    values = np.asarray(views)[:, 0, 0, 0].astype(int)
    return (values[:, None] >> np.arange(6)) & 1


@pytest.mark.parametrize("count", [0, 1, 3, 6])
def test_each_image_gets_just_that_many_layers_and_each_layer_its_part(count):
    chosen = bits(Policy([RandomSubset(powers(6), count)], seed=2)(np.zeros((600, 2, 2, 1))))
    np.testing.assert_array_equal(chosen.sum(axis=1), np.full(600, count))
    # Binomial with p = count / 6: four standard deviations are at most 49 of 600.
    assert np.abs(chosen.sum(axis=0) - 100 * count).max() < 50


def test_the_choice_is_by_position():
    policy = Policy([RandomSubset([*powers(3), GaussianNoise(0.1)], 2)], seed=2)
    images = np.full((9, 4, 4, 1), 100.0, "float32")
    np.testing.assert_array_equal(policy(images)[:4], policy(images[:4]))
    graph = tf.function(policy)
    np.testing.assert_array_equal(graph(tf.constant(images)), policy(images))


def test_alone_it_draws_by_its_own_seed():
    images = np.zeros((30, 2, 2, 1), "float32")
    views = [bits(RandomSubset(powers(6), 2, seed=seed)(images)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(views[0], views[1])
    assert not np.array_equal(views[0], views[2])


def test_per_pixel_labels_need_layers_that_move_nothing():
    inputs = {"images": np.ones((2, 4, 4, 1), "uint8"), "labels": np.zeros((2, 4, 4))}
    RandomSubset([GaussianNoise(0.1), keras_cv.layers.RandomBrightness(0.1)], 1)(inputs)
    with pytest.raises(ValueError, match="RandomSubset may move pixels"):
        RandomSubset([GaussianNoise(0.1), keras_cv.layers.RandomFlip()], 1)(inputs)


def test_wrong_arguments_are_refused():
    for count in (-1, 3, 1.0, True):
        with pytest.raises(ValueError, match="`count` must be an integer from 0 to"):
            RandomSubset(powers(2), count)
    for layer in (MixUp(), 3, Add):
        with pytest.raises(TypeError, match="`layers` must hold layers"):
            RandomSubset([layer], 1)


def test_the_config_survives_json():
    policy = Policy([RandomSubset([*powers(2), keras_cv.layers.RandomBrightness(0.2)], 2)], seed=6)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(policy)))
    copy = keras.saving.deserialize_keras_object(config)
    images = np.full((5, 4, 4, 3), 100.0, "float32")
    np.testing.assert_array_equal(copy(images), policy(images))
