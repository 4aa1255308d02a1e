"""Rotated and scaled images, by places worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from kd_keras.evaluate import rotate, scale

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 7, 9, 3), dtype="uint8")


@pytest.mark.parametrize("border", ["constant", "reflect"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_no_rotation_and_no_scaling_is_the_identity(border, dtype):
    images = IMAGES.astype(dtype)
    for same in (rotate(images, 0, border), scale(images, 1.0, border)):
        assert same.dtype == dtype
        np.testing.assert_array_equal(same, images)


def test_quarter_turns_of_a_square_image_are_those_of_numpy():
    images = IMAGES[:, :, :7]
    for turns in (1, 2, 3, -1):
        np.testing.assert_array_equal(
            rotate(images, 90 * turns), np.rot90(images, turns, axes=(1, 2))
        )


def test_a_turned_image_shows_zeros_or_its_mirror_beside_it():
    white = np.full((1, 9, 9, 1), 200, "uint8")
    constant, reflect = (rotate(white, 45, b).numpy()[0, ..., 0] for b in ("constant", "reflect"))
    assert constant[0, 0] == 0 and constant[4, 4] == 200
    assert (reflect == 200).all()


def test_half_the_size_shows_the_image_in_the_middle_of_zeros():
    white = np.full((1, 8, 8, 1), 255, "uint8")
    small = scale(white, 0.5).numpy()[0, ..., 0]
    # The image reaches four pixels to each side, so two when it is half as large.
    np.testing.assert_array_equal(small[2:6, 2:6], np.full((4, 4), 255))
    assert small[0].max() == small[:, 7].max() == 0


def test_twice_the_size_shows_the_middle_bilinearly():
    ramp = np.arange(4, dtype="float32").reshape(1, 1, 4, 1) * 8
    got = scale(ramp, 2.0).numpy().ravel()
    # Centre 1.5; places 1.5 + (p - 1.5) / 2 = 0.75, 1.25, 1.75, 2.25.
    np.testing.assert_allclose(got, [6, 10, 14, 18])


def test_a_place_of_an_oblique_turn_by_hand():
    image = np.zeros((1, 5, 5, 1), "float32")
    image[0, 2, 4] = 1  # two to the right of the centre
    turned = rotate(image, 30).numpy()[0, ..., 0]
    rows, columns = np.mgrid[:5, :5] - 2
    weight = turned.sum()
    angle = math.atan2(-(turned * rows).sum() / weight, (turned * columns).sum() / weight)
    assert math.degrees(angle) == pytest.approx(30, abs=6)


def test_an_image_is_shifted_alike_in_any_batch_and_in_a_graph():
    together = rotate(IMAGES, 33).numpy()
    np.testing.assert_array_equal(rotate(IMAGES[1:2], 33)[0], together[1])
    graph = tf.function(lambda x: rotate(x, 33))
    np.testing.assert_array_equal(graph(IMAGES), together)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rotate(IMAGES, math.nan), "`degrees` must be a finite number"),
        (lambda: scale(IMAGES, 0), "`factor` must be a finite number > 0"),
        (lambda: scale(IMAGES, 1.0, "wrap"), "`border` must be one of constant, reflect.*'wrap'"),
        (lambda: rotate(IMAGES[0], 5), "shape"),
    ],
)
def test_what_cannot_be_shifted_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
