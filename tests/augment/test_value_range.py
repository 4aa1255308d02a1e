import numpy as np
import pytest
import tensorflow as tf

from kd_keras.augment import GaussianNoise, Policy

BAD = [
    (np.full((2, 4, 4, 1), 0.7, "float32"), (0, 255), r"look like 0\.\.1.*value_range=\(0, 1\)"),
    (np.full((2, 4, 4, 1), 200.0, "float32"), (0, 1), r"outside value_range=\(0, 1\)"),
    (np.full((2, 4, 4, 1), -1.0, "float32"), (0, 255), r"outside value_range=\(0, 255\)"),
    (np.full((2, 4, 4, 1), np.nan, "float32"), (0, 255), "outside value_range"),
]


@pytest.mark.parametrize(("images", "value_range", "message"), BAD)
def test_an_unexpected_range_is_refused_eagerly(images, value_range, message):
    with pytest.raises(ValueError, match=f"(?i){message}"):
        Policy([GaussianNoise(0.1, value_range)], value_range=value_range)(images)


@pytest.mark.parametrize(("images", "value_range", "message"), BAD)
def test_an_unexpected_range_is_refused_in_a_graph_with_the_marker(images, value_range, message):
    policy = Policy([GaussianNoise(0.1, value_range)], value_range=value_range)
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"kd_keras: .*{message}"):
        tf.function(policy)(tf.constant(images))


def test_whole_numbers_do_not_fit_a_unit_range():
    with pytest.raises(ValueError, match=r"dtype uint8 do not fit value_range=\(0, 1\)"):
        Policy([GaussianNoise()], value_range=(0, 1))(np.zeros((1, 4, 4, 1), "uint8"))


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 4, 4, 1), "float32"),
        np.ones((2, 4, 4, 1), "uint8"),
        np.zeros((0, 4, 4, 1), "float32"),
    ],
)
def test_black_images_bytes_and_empty_batches_are_in_range(images):
    assert Policy([GaussianNoise(0.1)])(images).shape == images.shape
