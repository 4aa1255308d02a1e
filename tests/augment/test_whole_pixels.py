"""Flips and shifts that look pixels up give the very views of keras-cv's layers."""

import keras_cv
import numpy as np
import pytest
import tensorflow as tf

from kd_keras import augment
from kd_keras.augment import Policy

cv = keras_cv.layers


def images(*shape, dtype="float32"):
    return np.random.default_rng(0).integers(0, 256, shape).astype(dtype)


def views(layer, x, step=3):
    return Policy([layer], seed=1)(x, step=step).numpy()


@pytest.mark.parametrize("mode", ["horizontal", "vertical", "horizontal_and_vertical"])
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_a_flip_is_that_of_keras_cv(mode, rate):
    x = images(64, 5, 6, 3)
    ours = views(augment.RandomFlip(mode, rate=rate), x)
    np.testing.assert_array_equal(ours, views(cv.RandomFlip(mode, rate=rate), x))
    moved = (ours != x).any(axis=(1, 2, 3)).mean()
    expected = rate if mode != "horizontal_and_vertical" else 1 - (1 - rate) ** 2
    assert abs(moved - expected) < 0.15


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize(
    ("height", "width"), [(0.125, 0.125), (1.0, 1.0), (0.0, (0.2, 0.9)), ((-0.7, -0.1), 0.0)]
)
def test_a_shift_is_that_of_keras_cv_with_whole_pixels(height, width, dtype):
    x = images(200, 32, 17, 3, dtype=dtype)
    ours = views(augment.RandomShift(height, width), x)
    theirs = cv.RandomTranslation(height, width, fill_mode="reflect", interpolation="nearest")
    np.testing.assert_array_equal(ours, views(theirs, x))
    assert (ours != x).any()


def test_a_shift_by_hand():
    row = tf.reshape([10.0, 20.0, 30.0, 40.0], (1, 1, 4, 1))
    for part, expected in {
        0.25: [10, 10, 20, 30],
        0.5: [20, 10, 10, 20],
        -0.25: [20, 30, 40, 40],
        1.0: [40, 30, 20, 10],
        # 0.4 and 0.6 of a pixel: to the nearest.
        0.1: [10, 20, 30, 40],
        0.15: [10, 10, 20, 30],
    }.items():
        shift = augment.RandomShift(height_factor=0.0, width_factor=(part, part), seed=1)
        assert shift(row)[0, 0, :, 0].numpy().tolist() == expected


def test_masks_and_boxes_go_with_the_pixels():
    # The mask is the image, so they must stay the same; so must a box around the only bright pixel.
    x = np.zeros((40, 12, 12, 1), "float32")
    x[:, 6, 4] = 1.0
    boxes = {"boxes": np.tile([[[4.0, 6.0, 5.0, 7.0]]], (40, 1, 1)), "classes": np.zeros((40, 1))}
    layers = [
        augment.RandomFlip(bounding_box_format="xyxy"),
        # Whole pixels: the box is not rounded.
        augment.RandomShift((2 / 12, 2 / 12), (-1 / 12, -1 / 12), bounding_box_format="xyxy"),
    ]
    given = {"images": x, "segmentation_masks": x, "bounding_boxes": boxes}
    moved = Policy(layers, seed=1, value_range=(0, 1))(given, step=1)
    np.testing.assert_array_equal(moved["segmentation_masks"], moved["images"])
    rows, columns = np.argwhere(moved["images"].numpy()[..., 0] == 1)[:, 1:].T
    assert set(columns) == {3, 6} and set(rows) == {8}
    edges = np.stack([columns, rows, columns + 1, rows + 1], axis=-1)
    np.testing.assert_allclose(moved["bounding_boxes"]["boxes"][:, 0], edges, atol=1e-4)


def test_batches_of_unknown_size_and_shape():
    x = images(6, 8, 8, 3, dtype="uint8")
    policy = augment.standard(seed=2)
    graph = tf.function(
        lambda x: policy(x, step=1),
        input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)],
    )
    np.testing.assert_array_equal(graph(x), policy(x, step=1))
    assert graph(x[:0]).shape == (0, 8, 8, 3)


def test_arguments_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"`height_factor` must have values between \[-1, 1\]"):
        augment.RandomShift(1.5, 0.0)
    with pytest.raises(ValueError, match="unknown mode"):
        augment.RandomFlip("sideways")


def test_flips_and_transpositions_make_all_eight_ways_to_lay_a_square():
    image = images(1, 3, 3, 2)
    x = np.repeat(image, 400, axis=0)
    layers = [augment.RandomFlip("horizontal_and_vertical"), augment.RandomTranspose()]
    seen = [view.tobytes() for view in Policy(layers, seed=1)(x, step=0).numpy()]
    ways = [
        np.ascontiguousarray(np.rot90(side, turn)).tobytes()
        for side in (image[0], image[0, :, ::-1])
        for turn in range(4)
    ]
    assert set(seen) == set(ways)
    assert all(25 <= seen.count(way) <= 80 for way in ways)


def test_what_is_not_square_is_not_transposed():
    x = images(3, 4, 6, 1)
    layer = augment.RandomTranspose(rate=1.0)
    np.testing.assert_array_equal(layer(x), x)
    unknown = tf.function(layer, input_signature=[tf.TensorSpec([None, None, None, 1])])
    np.testing.assert_array_equal(unknown(x), x)
    np.testing.assert_array_equal(unknown(x[:, :, :4]), x[:, :, :4].transpose(0, 2, 1, 3))
    with pytest.raises(ValueError, match="`rate`.*rate=2"):
        augment.RandomTranspose(rate=2)
