import keras
import keras_cv
import numpy as np
import pytest
import tensorflow as tf

from kd_keras.augment import GaussianNoise, Policy, SaltAndPepper, SpeckleNoise

GREY = tf.fill((8, 32, 32, 3), 128.0)


@pytest.mark.parametrize("layer", [GaussianNoise(0.1), SaltAndPepper(0.1), SpeckleNoise(0.1)])
def test_noise_layers_are_keras_cv_layers_that_take_all_its_forms(layer):
    assert isinstance(layer, keras_cv.layers.BaseImageAugmentationLayer)
    assert layer(GREY).shape == GREY.shape
    assert layer(GREY[0]).shape == GREY[0].shape
    labels = tf.range(8)
    views = layer({"images": GREY, "labels": labels})
    np.testing.assert_array_equal(views["labels"], labels)
    single = layer({"images": GREY[0], "labels": labels[0]})
    assert single["images"].shape == GREY[0].shape
    assert keras.Sequential([layer])(GREY).shape == GREY.shape


def test_gaussian_noise_has_the_stated_spread_in_units_of_the_range():
    noise = Policy([GaussianNoise(0.05)])(GREY).numpy() - 128
    assert noise.std() == pytest.approx(0.05 * 255, rel=0.03)
    assert abs(noise.mean()) < 0.3
    unit = Policy([GaussianNoise(0.05, (0, 1))], value_range=(0, 1))(GREY / 256).numpy() - 0.5
    assert unit.std() == pytest.approx(0.05, rel=0.03)


def test_gaussian_noise_can_draw_its_strength_for_each_image():
    spread = (Policy([GaussianNoise((0.01, 0.1))])(GREY).numpy() - 128).std(axis=(1, 2, 3)) / 255
    assert 0.009 < spread.min() < 0.05 < spread.max() < 0.11


@pytest.mark.parametrize("value_range", [(0, 255), (-1, 1)])
def test_speckle_noise_has_the_stated_variance_at_every_brightness(value_range):
    low, high = value_range
    width = high - low
    parts = np.array([0.0, 0.1, 0.25, 0.5], "float32")
    images = np.ones((64, 32, 4, 3), "float32") * (low + width * parts[:, None])
    policy = Policy([SpeckleNoise(0.2, value_range)], value_range=value_range)
    views = (policy(images).numpy() - low) / width
    np.testing.assert_allclose(views.std(axis=(0, 1, 3)), 0.2 * parts, rtol=0.03)
    np.testing.assert_allclose(views.mean(axis=(0, 1, 3)), parts, atol=0.005)


def test_speckle_noise_can_draw_its_strength_for_each_image():
    spread = Policy([SpeckleNoise((0.01, 0.2))])(GREY).numpy().std(axis=(1, 2, 3)) / 128
    assert 0.009 < spread.min() < 0.1 < spread.max() < 0.21


def test_salt_and_pepper_hits_the_stated_part_of_the_pixels_in_all_channels():
    images = np.full((8, 64, 64, 3), 128.0, "float32")
    views = Policy([SaltAndPepper(0.1)])(images).numpy()
    salt, pepper = (views == 255).all(axis=-1), (views == 0).all(axis=-1)
    assert salt.mean() == pytest.approx(0.05, rel=0.1)
    assert pepper.mean() == pytest.approx(0.05, rel=0.1)
    assert (views[~salt & ~pepper] == 128).all()


def test_no_noise_and_all_noise():
    np.testing.assert_array_equal(GaussianNoise(0.0)(GREY), GREY)
    np.testing.assert_array_equal(SpeckleNoise(0.0)(GREY), GREY)
    np.testing.assert_array_equal(SaltAndPepper(0.0)(GREY), GREY)
    assert set(np.unique(SaltAndPepper(1.0)(GREY))) == {0.0, 255.0}


def test_noise_alone_differs_from_call_to_call_and_between_images():
    for layer in (GaussianNoise(0.1), SaltAndPepper(0.3)):
        first, second = layer(GREY).numpy(), layer(GREY).numpy()
        assert not np.array_equal(first, second)
        assert not np.array_equal(first[0], first[1])


@pytest.mark.parametrize("value", [-0.1, 1.5, "0.1", None, (0.2, 0.1), (0.1,), True])
def test_a_wrong_strength_is_refused_by_name(value):
    with pytest.raises(ValueError, match="`stddev` must be a number"):
        GaussianNoise(value)
    with pytest.raises(ValueError, match="`stddev` must be a number"):
        SpeckleNoise(value)
    with pytest.raises(ValueError, match="`amount` must be a number"):
        SaltAndPepper(value)
