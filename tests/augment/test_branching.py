"""Layers of keras-cv that ask `if` of a tensor work in `fit` and in a policy."""

import keras
import keras_cv
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.augment import Policy

cv = keras_cv.layers
BRANCHING = {
    "Equalization": lambda: cv.Equalization((0, 255)),
    # Two changes one after the other; each more takes seconds to trace and asks nothing new.
    "RandAugment": lambda: cv.RandAugment((0, 255), 2, 0.5),
    "RandomApply": lambda: cv.RandomApply(cv.RandomRotation(0.5), 0.5),
}


def images(count=6):
    return np.random.default_rng(0).integers(0, 100, (count, 24, 24, 3)).astype("uint8")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name == "RandAugment" else [])
        for name in BRANCHING
    ],
)
def test_a_policy_gives_the_same_views_eagerly_and_in_a_graph(name):
    policy = Policy([BRANCHING[name]()], seed=1)
    x = tf.constant(images(4))
    graph = tf.function(lambda x, step: policy(x, step=step), autograph=False)
    views = graph(x, tf.constant(3, tf.int64)).numpy()
    # A byte apart where exponentials or sums differ in the last bit.
    np.testing.assert_allclose(policy(x, step=3), views, atol=1)
    np.testing.assert_allclose(policy(x[:2], step=3), views[:2], atol=1)
    assert (views != x.numpy()).any()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "wrapped"),
    [*((name, False) for name in BRANCHING), ("RandomApply", True)],
)
def test_a_distiller_trains_on_their_views(name, wrapped):
    layer = BRANCHING[name]()
    teacher, student = (kd_keras.models.mlp((24, 24, 3), 3, hidden=(8,), seed=s) for s in (0, 1))
    distiller = kd_keras.Distiller(
        teacher,
        student,
        kd_keras.losses.KLDivergence(4.0),
        augmentation=Policy([layer]) if wrapped else layer,
    )
    distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = distiller.fit(images(), np.arange(6) % 3, batch_size=3, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize("wrapped", [True, False], ids=["policy", "plain layer"])
@pytest.mark.parametrize(
    ("layer", "error", "message"),
    [
        (
            lambda: cv.RandomApply(cv.RandomFlip(), batchwise=True),
            TypeError,
            "RandomApply asks `if`",
        ),
        (
            lambda: cv.RandomAspectRatio((0.5, 1.5)),
            ValueError,
            "RandomAspectRatio returns images of",
        ),
    ],
    ids=["batchwise", "sizes"],
)
def test_what_cannot_be_done_is_said(layer, error, message, wrapped):
    from kd_keras.augment.calling import call_layer

    augmentation = Policy([layer()]) if wrapped else layer()

    @tf.function(autograph=False)
    def views(x):
        return augmentation(x, step=0) if wrapped else call_layer(augmentation, x, None)[0]

    with pytest.raises(error, match=message):
        views(tf.constant(images()))
