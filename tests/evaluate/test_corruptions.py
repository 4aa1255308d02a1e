"""The fifteen corruptions: what an image may become, and what decides it."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras import evaluate
from kd_keras.evaluate.corruptions import (
    CORRUPTIONS,
    SEVERITIES,
    corrupt,
    corruption_errors,
    mean_corruption_error,
)

GREY = 128
NOISES = ("gaussian_noise", "shot_noise", "impulse_noise")


def pictures(size=24, channels=3, number=3):
    """Smooth pictures with an edge, so that a blur and a displacement show."""
    random = np.random.default_rng(0)
    coarse = random.uniform(30, 220, (number, 4, 4, channels)).astype("float32")
    images = tf.image.resize(coarse, (size, size)).numpy()
    images[:, : size // 2, : size // 3] = 20
    return images.round().astype("uint8")


def flat(value=GREY, size=16, channels=3):
    return np.full((2, size, size, channels), value, "uint8")


def distance(changed, images):
    return float(np.abs(np.asarray(changed, "float32") - images).mean())


def test_there_are_fifteen():
    assert len(CORRUPTIONS) == len(set(CORRUPTIONS)) == 15


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_images_of_any_size_keep_shape_and_type_and_change_at_every_severity(corruption):
    for size, channels in ((24, 3), (8, 1), (33, 3)):
        images = pictures(size, channels)
        for severity in SEVERITIES if size == 24 else (1, 5):
            changed = corrupt(images, corruption, severity)
            assert changed.dtype == tf.uint8
            assert changed.shape == images.shape
            # A blur of a fifth of a pixel may round to nothing on the smallest images.
            assert size == 8 or distance(changed, images) > 0
            assert distance(changed, images) < 90


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_an_image_is_corrupted_alike_in_any_batch_eagerly_and_in_a_graph(corruption):
    images = pictures()
    together = corrupt(images, corruption, 3, seed=5).numpy()
    np.testing.assert_array_equal(corrupt(images[1:2], corruption, 3, seed=5)[0], together[1])
    graph = tf.function(lambda x: corrupt(x, corruption, 3, seed=5))
    # Compilers may round a value in the middle of two integers either way.
    assert np.abs(graph(images).numpy().astype(int) - together.astype(int)).max() <= 1


@pytest.mark.parametrize(
    "corruption",
    [*NOISES, "glass_blur", "motion_blur", "snow", "frost", "fog", "elastic_transform"],
)
def test_another_seed_gives_another_image(corruption):
    images = pictures()
    assert distance(corrupt(images, corruption, 3, 0), corrupt(images, corruption, 3, 1)) > 0.1


@pytest.mark.parametrize(
    "corruption",
    [*NOISES, "motion_blur", "zoom_blur", "fog", "brightness", "contrast", "jpeg_compression"],
)
def test_the_highest_severity_changes_more_than_the_lowest(corruption):
    images = pictures(32)
    weak, strong = (distance(corrupt(images, corruption, s), images) for s in (1, 5))
    assert strong > 1.2 * weak


@pytest.mark.parametrize(
    "corruption",
    [
        *("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
        *("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
    ],
)
def test_a_flat_image_stays_flat_where_a_corruption_only_moves_or_averages(corruption):
    changed = corrupt(flat(), corruption, 5).numpy().astype(int)
    assert np.abs(changed - GREY).max() <= 1


def test_gaussian_noise_has_the_deviation_of_the_reference():
    changed = corrupt(flat(size=64), "gaussian_noise", 5).numpy().astype("float32")
    assert changed.mean() == pytest.approx(GREY, abs=0.6)
    assert changed.std() == pytest.approx(0.10 * 255, rel=0.03)


def test_shot_noise_has_the_deviation_of_a_poisson_distribution():
    changed = corrupt(flat(size=64), "shot_noise", 3).numpy().astype("float32")
    assert changed.std() == pytest.approx(np.sqrt(GREY / 255 / 100) * 255, rel=0.03)


def test_impulse_noise_sets_its_share_of_values_in_equal_parts():
    changed = corrupt(flat(size=64), "impulse_noise", 5).numpy()
    assert (changed == 0).mean() == pytest.approx(0.035, abs=0.006)
    assert (changed == 255).mean() == pytest.approx(0.035, abs=0.006)
    assert np.isin(changed, [0, GREY, 255]).all()


def test_contrast_and_brightness_by_hand():
    images = np.array([[[[10, 20, 30]], [[50, 100, 150]]]], "uint8")
    got = corrupt(images, "contrast", 2).numpy()
    np.testing.assert_array_equal(got, [[[[20, 40, 60]], [[40, 80, 120]]]])
    # The largest channel grows by 0.2 * 255 = 51 and takes the others with it.
    got = corrupt(images, "brightness", 4).numpy()
    np.testing.assert_array_equal(got, [[[[27, 54, 81]], [[67, 134, 201]]]])
    assert corrupt(flat(0), "brightness", 4).numpy().max() == 51


def test_a_blur_spreads_one_point_and_loses_no_light():
    image = np.zeros((1, 33, 33, 1), "uint8")
    image[0, 16, 16] = 255
    changed = corrupt(image, "defocus_blur", 5).numpy()[0, ..., 0].astype(int)
    assert changed.sum() == pytest.approx(255, abs=15)
    assert (changed > 0).sum() > 8
    np.testing.assert_array_equal(changed, changed.T)
    np.testing.assert_array_equal(changed, changed[::-1])


@pytest.mark.parametrize(
    ("images", "corruption", "severity", "error", "message"),
    [
        (flat(), "rain", 1, ValueError, "gaussian_noise.*corruption='rain'"),
        (flat(), "fog", 6, ValueError, "from 1 to 5.*severity=6"),
        (flat().astype("float32"), "fog", 1, TypeError, "must be uint8.*float32"),
        (flat()[0], "fog", 1, ValueError, "shape"),
        (flat(channels=4), "fog", 1, ValueError, "1 or 3"),
    ],
)
def test_what_cannot_be_corrupted_is_refused(images, corruption, severity, error, message):
    with pytest.raises(error, match=message):
        corrupt(images, corruption, severity)


def test_errors_of_models_that_look_at_the_mean():
    # Bright images are class 1. One model knows, the other always says 0.
    images = np.concatenate([flat(60), flat(180)])
    labels = np.array([0, 0, 1, 1])
    knows = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Flatten(),
            keras.layers.Lambda(lambda x: tf.stack([127 - x[:, 0], x[:, 0] - 127], axis=1)),
        ]
    )
    zero = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Flatten(),
            keras.layers.Lambda(lambda x: tf.stack([x[:, 0] + 1, 0 * x[:, 0]], axis=1)),
        ]
    )
    seen = []
    errors = corruption_errors(
        {"knows": knows, "zero": zero},
        tf.data.Dataset.from_tensor_slices((images, labels)).batch(3),
        corruptions=("brightness", "contrast"),
        severities=(1, 5),
        progress=lambda *which: seen.append(which),
    )
    # Brightness 5 adds 76.5, which lifts 60 above the middle: half of its answers are wrong.
    assert errors == {
        "knows": {"brightness": [0.0, 0.5], "contrast": [0.0, 0.0]},
        "zero": {"brightness": [0.5, 0.5], "contrast": [0.5, 0.5]},
    }
    assert seen == [("brightness", 1), ("brightness", 5), ("contrast", 1), ("contrast", 5)]
    assert mean_corruption_error(errors["knows"], errors["zero"]) == pytest.approx(0.25)


def test_a_mean_corruption_error_needs_the_same_corruptions_and_a_baseline_with_errors():
    with pytest.raises(ValueError, match="same corruptions and severities"):
        mean_corruption_error({"fog": [0.1]}, {"fog": [0.1, 0.2]})
    with pytest.raises(ValueError, match=r"no error under \['fog'\]"):
        mean_corruption_error({"fog": [0.1]}, {"fog": [0.0]})
    assert mean_corruption_error({"fog": [0.1, 0.3]}, {"fog": [0.1, 0.3]}) == 1


def test_the_package_gives_them_without_being_asked_first():
    assert evaluate.corruptions.corrupt is corrupt
