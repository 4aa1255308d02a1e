"""Keypoints and boxes go where their pixels go."""

import keras_cv
import numpy as np
import pytest
import tensorflow as tf

from kd_keras.augment import Policy, RandomFlip, RandomResizedCrop, RandomShift, RandomSubset

cv = keras_cv.layers
SIZE = 24
CONSTANT = {"fill_mode": "constant", "interpolation": "nearest"}
MOVING = {
    "flip": RandomFlip("horizontal_and_vertical"),
    "rotation": cv.RandomRotation(0.3, **CONSTANT),
    "zoom": cv.RandomZoom((-0.4, 0.3), (-0.4, 0.3), **CONSTANT),
    "shear": cv.RandomShear(0.3, 0.2, **CONSTANT),
    "translation": cv.RandomTranslation(0.3, 0.3, **CONSTANT),
    "shift": RandomShift(0.3, 0.3),
    "crop": cv.RandomCrop(18, 15),
    "too small for its crop": cv.RandomCrop(30, 36),
    "crop and resize": cv.RandomCropAndResize((20, 28), (0.4, 0.9), (0.8, 1.2)),
    "resized crop": RandomResizedCrop((0.4, 0.9)),
    "two of three": RandomSubset(
        [RandomFlip("vertical"), cv.RandomRotation(0.2, **CONSTANT), RandomResizedCrop((0.5, 0.9))],
        2,
    ),
}


@pytest.mark.parametrize("name", MOVING)
def test_a_keypoint_stays_on_its_pixel(name):
    numbers = np.tile(np.arange(SIZE * SIZE).reshape(1, SIZE, SIZE), (6, 1, 1)).astype("int32")
    points = np.random.default_rng(0).integers(2, SIZE - 2, (6, 9, 2)).astype("float32")
    seen = np.concatenate([points, np.ones((6, 9, 1), "float32")], axis=-1)
    images = np.zeros((6, SIZE, SIZE, 1), "float32")
    policy = Policy([MOVING[name]], seed=5)
    views = policy({"images": images, "segmentation_masks": numbers, "keypoints": seen}, outside=-1)
    moved, shown = np.asarray(views["keypoints"]), np.asarray(views["segmentation_masks"])
    visible = moved[..., 2] == 1
    assert visible.mean() > 0.2
    height, width = shown.shape[1:]
    places = np.round(moved[..., :2]).astype(int)
    inside = (places >= 0).all(-1) & (places < [width, height]).all(-1)
    np.testing.assert_array_equal(visible, inside)
    for view, which in zip(*np.nonzero(visible), strict=True):
        column, row = places[view, which]
        there = shown[view, row, column]
        if there < 0:  # between the last pixel's centre and its edge
            continue
        away = np.array([there % SIZE, there // SIZE]) - points[view, which]
        # Half a pixel of the view, which shows at most 1.6 pixels of the image.
        assert np.abs(away).max() <= 1.3, (view, which, away)
    np.testing.assert_array_equal(
        policy({"images": images, "keypoints": points})["keypoints"], moved[..., :2]
    )


def test_keypoints_by_hand():
    images = np.zeros((1, 8, 12, 1), "float32")
    points = np.array([[[0, 0], [11, 7], [3, 2]]], "float32")
    right = cv.RandomTranslation((0.0, 0.0), (0.25, 0.25))
    square = cv.RandomRotation((0.25, 0.25))
    for layer, expected in (
        (cv.RandomFlip(rate=1.0), [[11, 0], [0, 7], [8, 2]]),
        (cv.RandomFlip("vertical", rate=1.0), [[0, 7], [11, 0], [3, 5]]),
        (right, [[3, 0], [14, 7], [6, 2]]),
        # About the centre (5.5, 3.5), against the clock: (x, y) -> (5.5 + y - 3.5, 3.5 - x + 5.5).
        (square, [[2, 9], [9, -2], [4, 6]]),
    ):
        moved = Policy([layer], seed=1)({"images": images, "keypoints": points})["keypoints"]
        np.testing.assert_allclose(moved[0], expected, atol=1e-4)
    whole = Policy([right])({"images": images, "keypoints": points.astype("int32")})["keypoints"]
    assert whole.dtype == tf.int32
    np.testing.assert_array_equal(whole[0], [[3, 0], [14, 7], [6, 2]])


@pytest.mark.parametrize("form", ["xyxy", "yxyx", "xywh", "center_xywh", "rel_xyxy", "rel_xywh"])
def test_boxes_by_hand(form):
    images = np.zeros((1, 8, 12, 1), "float32")
    boxes = np.array([[[1, 2, 5, 4], [10, 0, 12, 8], [-1, -1, -1, -1]]], "float32")
    classes = np.array([[7, 9, -1]], "int32")
    convert = keras_cv.bounding_box.convert_format
    far = cv.RandomTranslation((0.25, 0.25), (0.25, 0.25))
    for layer, expected, left in (
        (cv.RandomFlip(rate=1.0), [[7, 2, 11, 4], [0, 0, 2, 8]], [7, 9]),
        # The second box is pushed out of the picture.
        (far, [[4, 4, 8, 6]], [7, -1]),
        (cv.RandomRotation((0.25, 0.25)), [[4, 5, 6, 8], [2, 0, 10, 0]], [7, -1]),
        (cv.RandomZoom((-0.5, -0.5)), [[0, 0, 4, 4]], [7, -1]),
    ):
        given = convert(boxes, source="xyxy", target=form, image_shape=(8, 12, 1))
        given = {"boxes": np.where(boxes < 0, -1, given), "classes": classes}
        views = Policy([layer])(
            {"images": images, "bounding_boxes": given}, bounding_box_format=form
        )["bounding_boxes"]
        np.testing.assert_array_equal(views["classes"][0], [*left, -1])
        moved = convert(views["boxes"], source=form, target="xyxy", image_shape=(8, 12, 1))
        there = np.array(left) >= 0
        np.testing.assert_allclose(
            moved[0, : len(left)][there], np.array(expected)[there[: len(expected)]], atol=1e-4
        )
        assert (np.asarray(views["boxes"])[0, 2] == -1).all()


def test_a_layer_that_moves_boxes_itself_moves_them_still():
    """keras-cv's JitteredResize: its boxes are those of what its masks show."""
    masks = np.zeros((4, SIZE, SIZE), "int32")
    masks[:, 5:15, 8:14] = 1
    inputs = {
        "images": masks[..., None] * np.float32(200),
        "segmentation_masks": masks,
        "bounding_boxes": {
            "boxes": np.tile(np.array([[[8, 5, 14, 15], [-1, -1, -1, -1]]], "float32"), (4, 1, 1)),
            "classes": np.tile(np.array([[3, -1]]), (4, 1)),
        },
    }
    resize = cv.JitteredResize((SIZE, SIZE), (0.8, 1.2), bounding_box_format="xyxy")
    views = Policy([resize], seed=1)(inputs, outside=0)
    moved = views["bounding_boxes"]
    np.testing.assert_array_equal(moved["classes"], inputs["bounding_boxes"]["classes"])
    assert (np.asarray(moved["boxes"])[:, 1] == -1).all()
    for mask, box in zip(views["segmentation_masks"].numpy(), moved["boxes"].numpy(), strict=True):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        seen = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        assert np.abs(box[0] - seen).max() <= 1.0
    assert (np.asarray(views["segmentation_masks"]) != masks).any()


def test_formats_that_contradict_or_are_none_are_refused():
    inputs = {
        "images": np.zeros((1, 8, 8, 1), "float32"),
        "bounding_boxes": {"boxes": np.ones((1, 1, 4)), "classes": np.ones((1, 1))},
    }
    policy = Policy([cv.RandomFlip(bounding_box_format="xyxy")])
    policy(inputs)
    policy(inputs, bounding_box_format="xyxy")
    with pytest.raises(ValueError, match="has bounding_box_format='xyxy'.*said to be 'xywh'"):
        policy(inputs, bounding_box_format="xywh")
    with pytest.raises(ValueError, match="`bounding_box_format` must be one of"):
        policy(inputs, bounding_box_format="corners")
    with pytest.raises(ValueError, match=r"nobody has said.*policy\(inputs, bounding_box_format="):
        Policy([cv.RandomZoom(0.1)])(inputs)
    Policy([cv.RandomZoom(0.1)])(inputs, bounding_box_format="xyxy")
