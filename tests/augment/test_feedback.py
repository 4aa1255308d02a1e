"""Feedback sends views where the gap is, and remembers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras.augment import Feedback
from kd_keras.augment.adapter import as_augmentation
from kd_keras.training.batch import Batch

IMAGES = tf.constant(np.random.default_rng(0).integers(0, 256, (300, 4, 4, 1)).astype("uint8"))


def constant(value):
    return lambda images: tf.fill(tf.shape(images), float(value))


def three(**options):
    """Three transforms that leave a mark by which their views are known."""
    changes = {"none": None, "dark": constant(0), "bright": constant(255)}
    return Feedback(changes, before=[], seed=1, **options)


def test_the_choice_says_what_each_view_went_through():
    views = three().augment(Batch(IMAGES), 0)
    choice = views.extras["choice"].numpy()
    assert set(choice) == {0, 1, 2}
    np.testing.assert_array_equal(views.x[choice == 0], IMAGES[choice == 0])
    assert (views.x[choice == 1].numpy() == 0).all()
    assert (views.x[choice == 2].numpy() == 255).all()


def test_views_come_in_the_stated_proportions():
    feedback = three(floor=0.1)
    feedback.state.gaps.assign([1.0, 3.0, 6.0])
    expected = 0.9 * np.array([0.1, 0.3, 0.6]) + 0.1 / 3
    np.testing.assert_allclose(feedback.probabilities(), expected, rtol=1e-5)
    counts = sum(
        np.bincount(feedback.augment(Batch(IMAGES), step).extras["choice"], minlength=3)
        for step in range(20)
    )
    np.testing.assert_allclose(counts / counts.sum(), expected, atol=0.02)


@pytest.mark.parametrize("rate", [0.0, 0.5, 2.0])
def test_the_rate_is_the_power_of_the_gap(rate):
    feedback = three(rate=rate, floor=0.2)
    feedback.state.gaps.assign([0.5, 1.0, 2.0])
    powers = np.array([0.5, 1.0, 2.0]) ** rate
    expected = 0.8 * powers / powers.sum() + 0.2 / 3
    np.testing.assert_allclose(feedback.probabilities(), expected, rtol=1e-5)


def test_it_begins_evenly_and_extremes_stay_probabilities():
    feedback = three(floor=0.3)
    np.testing.assert_allclose(feedback.probabilities(), [1 / 3] * 3, rtol=1e-6)
    for gaps in ([0.0, 0.0, 0.0], [0.0, 0.0, 1e30], [1e-30, 1e-30, 1.0]):
        feedback.state.gaps.assign(gaps)
        shares = feedback.probabilities().numpy()
        assert shares.sum() == pytest.approx(1.0, abs=1e-5) and (shares >= 0.0999).all()


def test_gaps_are_running_means_by_hand():
    feedback = three(memory=4)
    feedback.observe(tf.constant([0, 0, 1]), tf.constant([2.0, 4.0, 5.0]))
    np.testing.assert_allclose(feedback.state.gaps, [3.0, 5.0, 1.0])
    feedback.observe(tf.constant([0, 0]), tf.constant([7.0, 7.0]))
    np.testing.assert_allclose(feedback.state.gaps, [5.0, 5.0, 1.0])  # (2 + 4 + 7 + 7) / 4
    # From here it forgets: one view in four.
    feedback.observe(tf.constant([0]), tf.constant([1.0]))
    np.testing.assert_allclose(feedback.state.gaps, [4.0, 5.0, 1.0])
    np.testing.assert_allclose(feedback.state.seen, [4.0, 1.0, 0.0])


def test_views_are_a_function_of_seed_step_and_gaps():
    one, two = three(), three()
    np.testing.assert_array_equal(one.augment(Batch(IMAGES), 3).x, two.augment(Batch(IMAGES), 3).x)
    two.state.gaps.assign([1.0, 9.0, 1.0])
    assert not np.array_equal(one.augment(Batch(IMAGES), 3).x, two.augment(Batch(IMAGES), 3).x)
    graph = tf.function(lambda images, step: two.augment(Batch(images), step).x)
    np.testing.assert_array_equal(
        graph(IMAGES, tf.constant(3, tf.int64)), two.augment(Batch(IMAGES), 3).x
    )


def test_the_default_changes_work_on_colour_and_keep_dtype_and_range():
    images = tf.constant(np.random.default_rng(0).integers(0, 256, (64, 16, 16, 3)).astype("uint8"))
    feedback = Feedback(seed=2)
    views = feedback.augment(Batch(images, tf.range(64)), 0)
    assert views.x.dtype == tf.uint8 and views.x.shape == images.shape
    assert len(set(views.extras["choice"].numpy())) > 8
    np.testing.assert_array_equal(views.y, tf.range(64))


def test_the_config_comes_back():
    feedback = Feedback(seed=5, rate=0.5, floor=0.3, memory=50)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(feedback))
    assert again.get_config() == feedback.get_config()
    assert again.names == feedback.names


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"changes": {"one": None}}, ValueError, "at least two"),
        ({"changes": {"one": None, "two": 3}}, TypeError, "two=3"),
        ({"changes": {"one": None, "": constant(0)}}, ValueError, "at least two names"),
        ({"rate": -1}, ValueError, "`rate`"),
        ({"floor": 0.0}, ValueError, "`floor`"),
        ({"floor": 1.5}, ValueError, "`floor`"),
        ({"memory": 0}, ValueError, "`memory`"),
    ],
)
def test_bad_arguments_are_refused(options, error, words):
    with pytest.raises(error, match=words):
        Feedback(**options)


def test_two_of_them_are_refused():
    with pytest.raises(ValueError, match="may adapt once"):
        as_augmentation([three(), three()])
