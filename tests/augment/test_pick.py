"""Pick keeps the views with the highest teacher entropy, with all that belongs to them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras.augment import Feedback, GaussianNoise, Pick, Policy, cutmix, standard
from kd_keras.augment.pick import entropy
from kd_keras.training.batch import Batch

RANDOM = np.random.default_rng(0)
IMAGES = tf.constant(RANDOM.integers(0, 256, (6, 8, 8, 1)).astype("uint8"))
LABELS = tf.range(6)


def darkness(images):
    """A teacher whose entropy is known: the darker the image, the less it knows."""
    brightness = tf.reduce_mean(tf.cast(images, tf.float32), axis=[1, 2, 3]) / 20
    return tf.stack([brightness, tf.zeros_like(brightness)], axis=1)


def test_entropy_by_hand():
    logits = tf.constant([[0.0, 0.0], [np.log(3.0), 0.0], [1e4, -1e4]])
    expected = [np.log(2), -(0.75 * np.log(0.75) + 0.25 * np.log(0.25)), 0.0]
    np.testing.assert_allclose(entropy(logits), expected, atol=1e-6)
    probabilities = tf.nn.softmax(logits)
    np.testing.assert_allclose(entropy(probabilities, from_logits=False), expected, atol=1e-5)


def test_entropy_of_dense_and_of_several_outputs():
    dense = tf.constant(RANDOM.normal(size=(2, 3, 4)), tf.float32)
    each = np.stack([entropy(dense[:, t]) for t in range(3)], axis=1)
    np.testing.assert_allclose(entropy(dense), each.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(
        entropy({"a": dense, "b": dense[:, 0]}), each.mean(axis=1) + each[:, 0], rtol=1e-5
    )


@pytest.mark.parametrize("pool", [2, 3])
def test_the_kept_views_are_those_of_the_pool_with_the_highest_entropy(pool):
    policy = standard(seed=4)
    noisy = Policy([*policy.layers, GaussianNoise(0.3)], seed=4)
    picked = Pick(noisy, pool).augment_with(Batch(IMAGES, LABELS), 5, darkness)
    drawn = [noisy.augment(Batch(IMAGES, LABELS), 5 * pool + k) for k in range(pool)]
    views = np.concatenate([view.x for view in drawn])
    labels = np.concatenate([view.y for view in drawn])
    kept = np.sort(np.argsort(-entropy(darkness(views)).numpy(), kind="stable")[:6])
    np.testing.assert_array_equal(picked.x, views[kept])
    np.testing.assert_array_equal(picked.y, labels[kept])
    # The kept ones are less certain than what a plain policy shows.
    assert entropy(darkness(picked.x)).numpy().mean() > entropy(darkness(views)).numpy().mean()


def test_the_teachers_outputs_belong_to_the_kept_views():
    picked = Pick(cutmix(seed=1), 3).augment_with(Batch(IMAGES, LABELS), 0, darkness)
    np.testing.assert_allclose(picked.extras["asked"], darkness(picked.x), rtol=1e-6)


def test_labels_shares_and_weights_of_mixed_views_stay_together():
    weights = tf.range(6, dtype=tf.float32)
    views = Batch(IMAGES, LABELS, weights)
    policy = cutmix(seed=2)
    picked = Pick(policy, 2).augment_with(views, 1, darkness)
    drawn = [policy.augment(views, step) for step in (2, 3)]
    every = {
        view.x[i].numpy().tobytes(): [
            leaf[i].numpy() for leaf in (view.y, view.mix.y, view.mix.lam, view.weight)
        ]
        for view in drawn
        for i in range(6)
    }
    for i in range(6):
        belongs = every[picked.x[i].numpy().tobytes()]
        mine = [picked.y, picked.mix.y, picked.mix.lam, picked.weight]
        assert [leaf[i].numpy() for leaf in mine] == belongs


@pytest.mark.slow
def test_the_same_in_a_graph_and_dtype_and_shape_stay():
    pick = Pick(cutmix(seed=3))
    views = Batch(IMAGES, LABELS)
    eager = pick.augment_with(views, 7, darkness)

    @tf.function(
        input_signature=[tf.TensorSpec([None, 8, 8, 1], tf.uint8), tf.TensorSpec((), tf.int64)]
    )
    def graph(images, step):
        return pick.augment_with(Batch(images), step, darkness).x

    np.testing.assert_array_equal(graph(IMAGES, 7), eager.x)
    assert eager.x.dtype == tf.uint8 and eager.x.shape == IMAGES.shape


def test_without_a_teacher_it_says_what_to_do():
    with pytest.raises(ValueError, match="asks a teacher.*Distiller"):
        Pick(standard())(IMAGES)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Pick(keras.layers.RandomFlip()), TypeError, "`policy`.*Policy"),
        (lambda: Pick(Pick(standard())), ValueError, "seed alone"),
        (lambda: Pick(Feedback()), ValueError, "seed alone"),
        (lambda: Pick(standard(), pool=1), ValueError, "`pool`.*pool=1"),
        (lambda: Pick(standard(), pool=2.0), ValueError, "`pool`"),
    ],
)
def test_bad_arguments_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_the_config_comes_back():
    pick = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(Pick(cutmix(seed=9), pool=4))
    )
    assert pick.pool == 4 and pick.policy.seed == 9
