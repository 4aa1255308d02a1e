"""The layers that filter an image, against the libraries that define the filters."""

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from kd_keras.augment import Equalize, GaussianBlur, JpegCompression, Policy, Posterize, Sharpness


def photographs(count=3, height=37, width=29, seed=0):
    """Smooth images with noise: histograms with gaps, flat parts and extremes."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(-40, 300, (count, height // 4 + 1, width // 4 + 1, 3))
    fine = scipy.ndimage.zoom(coarse, (1, 4, 4, 1), order=1)[:, :height, :width]
    return np.clip(fine + random.normal(0, 3, fine.shape), 0, 255).round().astype("uint8")


def with_pillow(images, function):
    return np.stack([np.asarray(function(Image.fromarray(image))) for image in images])


@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.3])
def test_blur_is_that_of_scipy(sigma):
    images = photographs().astype("float32")
    expected = scipy.ndimage.gaussian_filter(images, (0, sigma, sigma, 0), mode="reflect")
    np.testing.assert_allclose(GaussianBlur(sigma)(images), expected, atol=2e-3)


def test_blur_wider_than_the_image_is_that_of_scipy():
    images = photographs(height=5, width=3).astype("float32")
    expected = scipy.ndimage.gaussian_filter(images, (0, 3, 3, 0), mode="reflect")
    np.testing.assert_allclose(GaussianBlur(3.0)(images), expected, atol=2e-3)


def test_blur_draws_a_width_for_each_image_and_0_is_the_image():
    noise = np.random.default_rng(0).uniform(0, 255, (1, 16, 16, 1)).astype("float32")
    images = np.repeat(noise, 30, axis=0)
    views = Policy([GaussianBlur((0.0, 2.0))])(images).numpy()
    variation = np.abs(np.diff(views, axis=1)).mean(axis=(1, 2, 3))
    assert variation.max() > 3 * variation.min()
    np.testing.assert_array_equal(GaussianBlur(0.0)(images), images)
    np.testing.assert_array_equal(GaussianBlur((0.0, 1e-4))(images), images)


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 2.0])
def test_sharpness_is_that_of_pillow_up_to_its_rounding(factor):
    images = photographs()
    expected = with_pillow(images, lambda image: ImageEnhance.Sharpness(image).enhance(factor))
    views = Policy([Sharpness(factor)])(images).numpy()
    # Pillow rounds the smoothed image, and cuts the result off.
    assert np.abs(views.astype(int) - expected).max() <= 1 + abs(1 - factor) / 2
    if factor == 1:
        np.testing.assert_array_equal(views, images)


def test_sharpness_goes_both_ways():
    images = np.repeat(photographs(1), 40, axis=0)
    views = Policy([Sharpness((0.0, 2.0))])(images).numpy().astype(float)
    detail = np.abs(np.diff(views, axis=1)).mean(axis=(1, 2, 3))
    own = np.abs(np.diff(images.astype(float), axis=1)).mean()
    assert detail.min() < 0.95 * own and detail.max() > 1.05 * own


@pytest.mark.parametrize("bits", range(1, 9))
def test_posterize_is_that_of_pillow(bits):
    images = photographs()
    expected = with_pillow(images, lambda image: ImageOps.posterize(image, bits))
    np.testing.assert_array_equal(Policy([Posterize(bits)])(images), expected)
    # In other ranges a byte may be a hair too low.
    unit = Policy([Posterize(bits, (-1, 1))], value_range=(-1, 1))
    views = unit(images.astype("float32") / 127.5 - 1).numpy()
    np.testing.assert_allclose((views + 1) * 127.5, expected, atol=1e-3)


def test_posterize_draws_from_both_ends_included():
    ramp = np.tile(np.arange(256, dtype="uint8"), (60, 1)).reshape(60, 16, 16, 1)
    views = Policy([Posterize((2, 4))])(ramp).numpy()
    assert {len(np.unique(view)) for view in views} == {4, 8, 16}


def test_equalize_is_that_of_pillow():
    images = photographs(6)
    images[1] = 80  # one level
    images[2] = np.where(images[2] > 128, 200, 30)  # two levels
    images[3] = images[3] // 8  # dark
    expected = with_pillow(images, ImageOps.equalize)
    np.testing.assert_array_equal(Policy([Equalize(1.0)])(images), expected)
    small = photographs(height=8, width=8)
    np.testing.assert_array_equal(
        Policy([Equalize(1.0)])(small), with_pillow(small, ImageOps.equalize)
    )


def test_equalize_takes_its_part_of_the_images():
    images = np.repeat(photographs(1) // 4, 400, axis=0)
    changed = (Policy([Equalize(0.3)])(images).numpy() != images).any(axis=(1, 2, 3))
    # Binomial: four standard deviations are 0.092.
    assert abs(changed.mean() - 0.3) < 0.092
    np.testing.assert_array_equal(Policy([Equalize(0.0)])(images), images)


@pytest.mark.parametrize("quality", [1, 30, 95])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_what_tf_io_decodes(quality, channels):
    images = photographs()[..., :channels]
    expected = [
        tf.io.decode_jpeg(tf.io.encode_jpeg(image, quality=quality), channels=channels)
        for image in images
    ]
    np.testing.assert_array_equal(Policy([JpegCompression(quality)])(images), np.stack(expected))


def test_jpeg_draws_a_quality_for_each_image():
    images = np.repeat(photographs(1), 20, axis=0)
    views = Policy([JpegCompression((1, 100))])(images).numpy().astype(float)
    errors = np.abs(views - images).mean(axis=(1, 2, 3))
    assert errors.max() > 4 * errors.min()


def test_jpeg_refuses_four_channels():
    with pytest.raises(ValueError, match=r"1 or 3 channels.*\(2, 8, 8, 4\)"):
        JpegCompression()(tf.zeros((2, 8, 8, 4)))


@pytest.mark.parametrize(
    ("layer", "argument", "value"),
    [
        (GaussianBlur, "sigma", -1.0),
        (GaussianBlur, "sigma", (2.0, 1.0)),
        (Sharpness, "factor", -0.1),
        (Sharpness, "factor", "1"),
        (JpegCompression, "quality", 0),
        (JpegCompression, "quality", 50.5),
        (JpegCompression, "quality", (10, 101)),
        (Posterize, "bits", 0),
        (Posterize, "bits", (4, 9)),
        (Posterize, "bits", True),
        (Equalize, "rate", 1.5),
        (Equalize, "rate", None),
        (Equalize, "value_range", (1, 0)),
    ],
)
def test_wrong_arguments_are_refused_by_name(layer, argument, value):
    with pytest.raises(ValueError, match=f"`{argument}` must be"):
        layer(**{argument: value})
