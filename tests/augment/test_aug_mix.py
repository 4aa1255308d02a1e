import json

import keras
import keras_cv
import numpy as np
import pytest
import tensorflow as tf

from kd_keras.augment import AugMix, GaussianNoise, Policy, Posterize
from kd_keras.augment.draws import Draws
from kd_keras.augment.layers.aug_mix import _of_chains
from kd_keras.augment.rows import Rows, local_rows
from kd_keras.training.batch import Batch


def double(images):
    return images * 2


def test_a_view_is_the_stated_mean_of_chains():
    # Chains double 1 to 3 times: a view of 1 is m + (1 - m) * mean of {2, 4, 8}.
    images = np.full((2000, 2, 2, 1), 16.0, "float32")
    views = Policy([AugMix([double])], seed=1)(images).numpy()[:, 0, 0, 0] / 16
    assert 1 <= views.min() < 1.2 and 7 < views.max() <= 8
    # The mean of m is 1/2, that of a chain (2 + 4 + 8) / 3.
    assert views.mean() == pytest.approx(0.5 + 0.5 * 14 / 3, abs=0.15)


@pytest.mark.parametrize(("depth", "value"), [(1, 2.0), (3, 8.0)])
def test_the_depth_may_be_fixed(depth, value):
    # A large alpha makes m = 1/2 almost surely.
    images = np.full((5, 2, 2, 1), 16.0, "float32")
    mix = AugMix([double], depth=depth, width=2, alpha=1e6)
    views = Policy([mix])(images)
    np.testing.assert_allclose(views, np.full(images.shape, 8 * (1 + value)), rtol=0.01)


def test_every_layer_is_chosen_and_each_place_chooses_anew():
    # Adding 1, 4 or 16 three times in a single chain: digits count how often each was chosen.
    layers = [lambda x: x + 1, lambda x: x + 4, lambda x: x + 16]
    draws = Draws((1,), 0, local_rows(tf.zeros(300)))
    mix = AugMix(layers, width=1, depth=3, alpha=1e6)
    sums = 2 * mix.apply(Batch(tf.zeros((300, 1, 1, 1))), draws).x.numpy().ravel()
    counts = np.stack([np.round(sums) // base % 4 for base in (1, 4, 16)], axis=1)
    np.testing.assert_array_equal(counts.sum(axis=1), np.full(300, 3))
    # Binomial of 900 with 1/3: four standard deviations are 57.
    assert np.abs(counts.sum(axis=0) - 300).max() < 57
    # All three places agree with 1/9; without new choices it would be always.
    assert np.mean(counts.max(axis=1) == 3) < 0.2


def test_chains_of_an_example_are_at_its_place_in_the_global_batch():
    rows = _of_chains(Rows(tf.constant([2, 5]), tf.constant(6), tf.constant(8), False), 3)
    np.testing.assert_array_equal(rows.index, [6, 7, 8, 15, 16, 17])
    assert (int(rows.extent), int(rows.total), rows.leading) == (18, 24, False)


def test_alone_it_draws_by_its_own_seed():
    images = np.full((4, 4, 4, 3), 200, "uint8")
    views = [AugMix([GaussianNoise(0.1)], seed=seed)(images).numpy() for seed in (1, 1, 2)]
    np.testing.assert_array_equal(views[0], views[1])
    assert not np.array_equal(views[0], views[2])


def test_per_pixel_labels_need_layers_that_move_nothing():
    inputs = {"images": np.ones((2, 4, 4, 1), "uint8"), "labels": np.zeros((2, 4, 4))}
    AugMix([Posterize(2)])(inputs)
    with pytest.raises(ValueError, match="AugMix may move pixels"):
        AugMix([Posterize(2), keras_cv.layers.RandomFlip()])(inputs)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"layers": []}, ValueError, "at least one layer"),
        ({"layers": [3]}, TypeError, "`layers` must hold layers"),
        ({"width": 0}, ValueError, "`width` must be"),
        ({"width": 1.5}, ValueError, "`width` must be"),
        ({"depth": 0}, ValueError, "`depth` must be"),
        ({"depth": (3, 1)}, ValueError, "`depth` must be"),
        ({"depth": (1, 2, 3)}, ValueError, "`depth` must be"),
        ({"alpha": 0}, ValueError, "`alpha` must be"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        AugMix(**{"layers": [double], **arguments})


def test_the_config_survives_json():
    policy = Policy([AugMix([Posterize((2, 4)), GaussianNoise(0.1)], 2, 2, 0.5)], seed=6)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(policy)))
    copy = keras.saving.deserialize_keras_object(config)
    images = np.full((5, 4, 4, 3), 100.0, "float32")
    np.testing.assert_array_equal(copy(images), policy(images))
