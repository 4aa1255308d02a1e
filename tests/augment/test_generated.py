"""Generated images among the views: which ones, of which class, with which label."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.augment import CutMix, Generated, MixUp, Policy
from kd_keras.losses import KLDivergence
from tests.conftest import sparse_crossentropy
from tests.generators import conditional, unconditional

CLASSES = 3
# The real images are of a value that the generator never makes.
REAL = 255


@pytest.fixture(scope="module")
def generator():
    return conditional(CLASSES)


def batch(count=200, labels=None):
    labels = np.full(count, 2) if labels is None else labels
    return {"images": np.full((count, 6, 6, 1), REAL, "uint8"), "labels": labels}


def shown_class(images):
    """The class that the left half of a generated image tells, and -1 for a real one."""
    grey = np.asarray(images)[:, 0, 0, 0].astype("float64")
    shades = np.round((np.tanh(0.2 * np.arange(CLASSES)) + 1) * 127.5)
    classes = np.abs(grey[:, None] - shades).argmin(axis=1)
    return np.where(grey == REAL, -1, classes)


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_the_share_is_replaced_and_labels_say_what_is_shown(generator, share):
    views = Generated(generator, share, num_classes=CLASSES)(batch(), step=1)
    shown = shown_class(views["images"])
    replaced = shown >= 0
    assert views["images"].dtype == tf.uint8
    assert abs(replaced.mean() - share) < 0.1
    np.testing.assert_array_equal(views["labels"][replaced], shown[replaced])
    assert (views["labels"].numpy()[~replaced] == 2).all()
    assert np.bincount(shown[replaced], minlength=CLASSES).min() > 0.2 * replaced.sum()


@pytest.mark.parametrize("form", ["column", "float", "one-hot"])
def test_labels_keep_their_format(generator, form):
    plain = Generated(generator, num_classes=CLASSES)(batch(), step=1)["labels"].numpy()
    labels = np.full(200, 2)
    given = {
        "column": labels[:, None].astype("int32"),
        "float": labels.astype("float32"),
        "one-hot": np.eye(CLASSES, dtype="float32")[labels],
    }[form]
    got = Generated(generator, num_classes=CLASSES)(batch(labels=given), step=1)["labels"]
    assert (got.shape, got.dtype) == (given.shape, given.dtype)
    ids = got.numpy().argmax(axis=1) if form == "one-hot" else got.numpy().reshape(-1)
    np.testing.assert_array_equal(ids, plain)


@pytest.mark.parametrize("one_hot", [False, True])
def test_keep_labels_asks_for_the_class_that_is_replaced(generator, one_hot):
    labels = np.arange(200) % CLASSES
    given = np.eye(CLASSES)[labels] if one_hot else labels
    layer = Generated(generator, num_classes=CLASSES, keep_labels=True)
    views = layer(batch(labels=given), step=0)
    shown = shown_class(views["images"])
    np.testing.assert_array_equal(views["labels"], given)
    np.testing.assert_array_equal(shown[shown >= 0], labels[shown >= 0])
    assert 60 < (shown >= 0).sum() < 140


def test_the_same_seed_and_step_give_the_same_views_in_a_graph_and_in_a_short_batch(generator):
    layer = Generated(generator, num_classes=CLASSES, seed=3)
    views = layer(batch(), step=4)
    graph = tf.function(layer)(batch(), step=tf.constant(4, tf.int64))
    short = layer(batch(50), step=4)
    for key in ("images", "labels"):
        np.testing.assert_array_equal(views[key], graph[key])
        np.testing.assert_array_equal(views[key][:50], short[key])
    for other in (
        layer(batch(), step=5),
        Generated(generator, num_classes=3, seed=4)(batch(), step=4),
    ):
        assert not np.array_equal(views["images"], other["images"])


def test_in_a_policy_its_seed_rules_and_later_layers_see_generated_images(generator):
    def policy(seed, inner):
        layers = [Generated(generator, num_classes=CLASSES, seed=inner), CutMix()]
        return Policy(layers, seed=seed)(batch(), step=2)

    first, same, other = policy(1, 0), policy(1, 9), policy(2, 0)
    np.testing.assert_array_equal(first["images"], same["images"])
    assert not np.array_equal(first["images"], other["images"])
    assert set(np.unique(first["labels"])) == {0, 1, 2} and first["share"].shape == (200,)


def test_no_image_may_be_replaced_and_the_batch_may_be_empty(generator):
    layer = Generated(generator, 1e-9, num_classes=CLASSES)
    np.testing.assert_array_equal(layer(batch())["images"], batch()["images"])
    assert layer(batch(0))["images"].shape == (0, 6, 6, 1)


def test_the_range_of_the_policy_must_be_the_layers(generator):
    images = np.full((20, 6, 6, 1), 0.5, "float32")
    layer = Generated(generator, 1.0, num_classes=CLASSES, value_range=(0, 1))
    views = Policy([layer], value_range=(0, 1))(images).numpy()
    assert 0 < views.min() < views.max() < 1
    with pytest.raises(
        ValueError, match=r"layers see images in \(0, 255\).*value_range=\(0, 255\)"
    ):
        Policy([layer])


def test_without_labels_any_generator_will_do():
    images = batch()["images"]
    views = Generated(unconditional(), 0.5, generator_range=(-1, 1))(images, step=1).numpy()
    assert 60 < (views != REAL).any(axis=(1, 2, 3)).sum() < 140
    with pytest.raises(ValueError, match="without classes.*num_classes.*student_loss_weight=0"):
        Generated(unconditional())(batch())


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((4, 7)), r"one-hot \(batch, 3\).*shape \(4, 7\)"),
        (np.zeros((4, 6, 6)), r"labels of shape \(4, 6, 6\)"),
        ({"a": np.zeros(4)}, "a structure of labels"),
    ],
)
def test_labels_without_one_class_are_refused(generator, labels, message):
    with pytest.raises(ValueError, match=message):
        Generated(generator, num_classes=CLASSES)(batch(4, labels))


def test_mixed_views_other_shapes_and_wrong_shares_are_refused(generator):
    with pytest.raises(ValueError, match="before MixUp or CutMix"):
        Policy([MixUp(), Generated(generator, num_classes=CLASSES)])(batch(4))
    with pytest.raises(ValueError, match=r"\(6, 6, 1\).*shape \(4, 8, 8, 1\)"):
        Generated(generator, num_classes=CLASSES)(np.zeros((4, 8, 8, 1), "uint8"))
    for share in (0, 1.5, True, "half"):
        with pytest.raises(ValueError, match="`share` must be a finite number in"):
            Generated(generator, share, num_classes=CLASSES)


@pytest.mark.slow
def test_a_distiller_trains_on_them_and_the_generator_stays_as_it_was(generator, make_net, images):
    x, y = images
    before = [np.array(weight) for weight in generator.weights]
    layer = Generated(generator, num_classes=3)
    distiller = kd_keras.Distiller(
        make_net(4, "t"), make_net(4, "s"), KLDivergence(2.0), augmentation=Policy([layer], seed=1)
    )
    distiller.compile("adam", sparse_crossentropy(), metrics=["accuracy"])
    history = distiller.fit(x, y, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    for weight, value in zip(generator.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.slow
def test_a_saved_distiller_says_that_the_generator_is_not_in_it(
    generator, make_net, images, tmp_path
):
    distiller = kd_keras.Distiller(
        make_net(4, "t"),
        make_net(4, "s"),
        KLDivergence(2.0),
        augmentation=Generated(generator, num_classes=3),
    )
    distiller.compile("sgd", sparse_crossentropy())
    distiller.fit(*images, verbose=0)
    with pytest.warns(UserWarning, match="cannot be saved.*no room for its generator's weights"):
        distiller.save(tmp_path / "distiller.keras")
    assert keras.models.load_model(tmp_path / "distiller.keras").augmentation is None
