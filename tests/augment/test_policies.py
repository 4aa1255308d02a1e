import functools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras import augment

CHANGING = [name for name in augment.policy_names() if name != "none"]
MIXING = ("mixup", "cutmix", "fmix")
# What is traced in seconds, and one of each kind.
QUICK = ("none", "digits", "standard", "noise", "mixup", "cutmix")


@pytest.fixture(scope="module")
def images():
    # Floats with all their digits: rounding to bytes would hide a difference in the last bit.
    return tf.constant(np.random.default_rng(0).uniform(0, 255, (6, 12, 10, 3)).astype("float32"))


@functools.cache
def built(name):
    return augment.named(name, seed=3)


def equal(first, second):
    return np.array_equal(np.asarray(first), np.asarray(second))


def test_the_names_are_those_of_the_builders():
    assert augment.policy_names() == (
        "none",
        "digits",
        "standard",
        "geometric",
        "turns",
        "colour",
        "noise",
        "blur",
        "cutout",
        "gridmask",
        "strong",
        "augmix",
        "mixup",
        "cutmix",
        "fmix",
    )
    assert all(augment.named(name).name == name for name in augment.policy_names())


def test_an_unknown_name_is_refused_with_the_nearest_one():
    with pytest.raises(ValueError, match=r"name='standart'.*Did you mean 'standard'"):
        augment.named("standart")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow)
        for name in augment.policy_names()
    ],
)
def test_views_repeat_by_seed_and_step_eagerly_in_a_graph_and_after_a_config_round_trip(
    name, images
):
    batch = {"images": images, "labels": tf.range(6)}
    policy = built(name)
    views = policy(batch, step=4)
    graph_views = tf.function(policy, autograph=False)(batch, step=tf.constant(4, tf.int64))
    config = json.dumps(keras.saving.serialize_keras_object(policy))
    copy = keras.saving.deserialize_keras_object(json.loads(config))
    assert (copy.name, copy.seed, copy.value_range) == (name, 3, (0, 255))
    assert [type(layer) for layer in copy.layers] == [type(layer) for layer in policy.layers]
    copied_views = copy(batch, step=4)
    for key in views:
        assert equal(views[key], graph_views[key]), key
        assert equal(views[key], copied_views[key]), key
    if name != "none":
        assert not equal(views["images"], policy(images, step=5))
        copy.seed = 4
        assert not equal(views["images"], copy(images, step=4))


@pytest.mark.parametrize("name", CHANGING)
def test_every_image_gets_changes_of_its_own(name):
    ramp = np.arange(12 * 12 * 3, dtype="float32").reshape(1, 12, 12, 3) / 2
    same = np.repeat(ramp, 12, axis=0)
    if name in MIXING:
        # Partners must differ for mixing to be seen.
        same += np.arange(12).reshape(-1, 1, 1, 1)
    views = built(name)(same, step=0).numpy()
    # Flips and shifts by whole pixels may coincide.
    assert len({view.tobytes() for view in views}) >= 8


@pytest.mark.parametrize("name", CHANGING)
def test_views_stay_in_range_and_are_the_same_in_another_range(name):
    random = np.random.default_rng(1)
    # Half of the values are extremes, which any overshoot would leave.
    values = np.clip(random.uniform(-255, 510, (6, 8, 8, 3)), 0, 255).astype("float32")
    wide = built(name)(values, step=1).numpy()
    centred = augment.named(name, seed=3, value_range=(-1, 1))(values / 127.5 - 1, step=1).numpy()
    assert wide.dtype == centred.dtype == np.float32
    assert 0 <= wide.min() < wide.max() <= 255
    assert -1 <= centred.min() < centred.max() <= 1
    np.testing.assert_allclose((centred + 1) * 127.5, wide, atol=0.05)


@pytest.mark.parametrize("name", augment.policy_names())
def test_grey_digits_of_8_by_8_go_through_every_policy(name):
    images = tf.constant(np.random.default_rng(2).integers(0, 256, (3, 8, 8, 1)).astype("uint8"))
    views = built(name)(images, step=0)
    assert views.shape == (3, 8, 8, 1)
    assert views.dtype == tf.uint8


@pytest.mark.parametrize("name", [name for name in CHANGING if name not in MIXING])
def test_the_views_of_a_short_last_batch_are_the_first_ones_of_a_full_batch(name, images):
    policy = built(name)
    full, short = policy(images, step=2)[:2], policy(images[:2], step=2)
    if name == "augmix":
        # Some processors add the chains up in an order that depends on the size of the batch.
        np.testing.assert_allclose(full, short, rtol=1e-6)
    else:
        assert equal(full, short)


def test_digits_are_never_flipped_nor_turned_far():
    # A bright corner stays in its quarter of the image.
    images = np.zeros((64, 16, 16, 1), "float32")
    images[:, 2:6, 2:6] = 255
    views = augment.digits(seed=0)(images, step=0).numpy()
    quarters = [
        views[:, rows, columns].sum(axis=(1, 2, 3))
        for rows in (slice(0, 8), slice(8, 16))
        for columns in (slice(0, 8), slice(8, 16))
    ]
    assert (np.argmax(quarters, axis=0) == 0).all()


def test_standard_shifts_by_whole_pixels_and_flips_about_half_of_the_images():
    row = np.arange(32, dtype="float32") * 8
    images = np.broadcast_to(row[None, None, :, None], (200, 32, 32, 1))
    views = augment.standard(seed=0)(images, step=0).numpy()
    assert set(np.unique(views)) <= set(row.tolist())
    flipped = views[:, 16, 20, 0] < views[:, 16, 12, 0]
    assert 70 <= flipped.sum() <= 130
    shifts = np.where(flipped, 248 - views[:, 16, 16, 0], views[:, 16, 16, 0]) / 8 - 16
    assert -5 <= shifts.min() <= -3 and 3 <= shifts.max() <= 5


def test_colour_moves_no_pixel():
    images = np.zeros((8, 6, 6, 3), "float32")
    images[:, 2, 3] = (200.0, 40.0, 90.0)
    views = augment.colour(seed=0)(images, step=0).numpy()
    spread = views - views[:, :1, :1]
    spread[:, 2, 3] = 0
    assert np.abs(spread).max() < 1e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"magnitude": 0.0}, "magnitude=0.0"),
        ({"magnitude": 1.5}, "magnitude=1.5"),
        ({"count": 11}, "count=11"),
    ],
)
def test_strong_refuses_what_is_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        augment.strong(**arguments)
