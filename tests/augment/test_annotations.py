"""Masks and boxes follow the layers that move pixels."""

import keras_cv
import numpy as np
import pytest
import tensorflow as tf

from kd_keras import augment
from kd_keras.augment import (
    AugMix,
    CutMix,
    GaussianNoise,
    MixUp,
    Policy,
    RandomResizedCrop,
    RandomSubset,
)

cv = keras_cv.layers

# Layers that move pixels, each with what it needs for class ids.
MOVING = {
    "flip": cv.RandomFlip("horizontal_and_vertical"),
    "rotation": cv.RandomRotation(0.3),
    "zoom": cv.RandomZoom((-0.3, 0.3), (-0.3, 0.3)),
    "shear": cv.RandomShear(0.3, 0.3),
    "translation": cv.RandomTranslation(0.3, 0.3),
    "crop and resize": cv.RandomCropAndResize((24, 24), (0.4, 0.9), (0.8, 1.2)),
    "resized crop": RandomResizedCrop((0.4, 0.9)),
    "one of two": cv.RandomChoice([cv.RandomFlip("vertical"), cv.RandomTranslation(0.3, 0.3)]),
}


def discs(count=6, size=24):
    """White discs on black, `(count, size, size, 3)`, and where they are."""
    random = np.random.default_rng(0)
    rows, columns = random.uniform(7, size - 7, (2, count, 1, 1))
    grid = np.arange(size)
    masks = (grid[:, None] - rows) ** 2 + (grid - columns) ** 2 < 25
    return np.repeat(masks[..., None] * 255.0, 3, axis=-1).astype("uint8"), masks.astype("int32")


@pytest.mark.parametrize("name", MOVING)
def test_masks_move_with_the_images_eagerly_and_in_a_graph(name):
    images, masks = discs()
    policy = Policy([MOVING[name]], seed=3)
    inputs = {"images": images, "segmentation_masks": masks, "labels": np.arange(6)}
    views = policy(inputs, step=1)
    graph = tf.function(policy, autograph=False)(inputs, step=tf.constant(1, tf.int64))
    for key in inputs:
        np.testing.assert_array_equal(views[key], graph[key], err_msg=key)
    # The images are moved as they are without masks.
    np.testing.assert_array_equal(views["images"], policy(images, step=1))
    np.testing.assert_array_equal(views["labels"], np.arange(6))

    moved = views["segmentation_masks"].numpy()
    assert moved.dtype == masks.dtype and moved.shape == masks.shape
    seen = views["images"].numpy()[..., 0] > 127
    # Up to interpolation at the edge of a disc; unmoved masks are far off.
    assert (seen != moved).mean() < 0.02
    assert (seen != masks).mean() > 0.05


def test_masks_keep_their_form():
    images, masks = discs()
    one_hot = np.stack([1 - masks, masks], axis=-1).astype("float32")
    policy = Policy([cv.RandomFlip(), cv.RandomTranslation(0.2, 0.2), cv.RandomRotation(0.1)])
    moved = policy({"images": images, "segmentation_masks": one_hot})["segmentation_masks"]
    assert moved.shape == one_hot.shape and moved.dtype == tf.float32
    standard = augment.standard(seed=1)
    for given in (masks.astype("uint8"), masks[..., None]):
        moved = standard({"images": images, "segmentation_masks": given})["segmentation_masks"]
        assert (moved.dtype.name, moved.shape) == (given.dtype.name, given.shape)
        assert set(np.unique(moved)) == {0, 1}


def test_what_moves_nothing_leaves_masks_and_boxes():
    images, masks = discs()
    boxes = {"boxes": np.ones((6, 2, 4), "float32"), "classes": np.zeros((6, 2), "int32")}
    inputs = {"images": images, "segmentation_masks": masks, "bounding_boxes": boxes}
    layers = [cv.RandomSaturation((0.2, 0.8)), cv.Grayscale(3), GaussianNoise(0.1)]
    for policy in (Policy([*layers, RandomSubset(layers, 1)]), Policy([]), RandomSubset(layers, 1)):
        views = policy(inputs)
        np.testing.assert_array_equal(views["segmentation_masks"], masks)
        for name, given in boxes.items():
            np.testing.assert_array_equal(views["bounding_boxes"][name], given)
            assert np.asarray(views["bounding_boxes"][name]).dtype == given.dtype


def box_of(mask):
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


@pytest.mark.parametrize("ragged", [False, True])
def test_boxes_move_with_the_images(ragged):
    images, masks = discs()
    found = np.array([[box_of(mask)] for mask in masks], "float32")
    # A second box that is not there, as keras-cv fills up dense boxes.
    boxes = np.concatenate([found, np.full_like(found, -1)], axis=1)
    given = {"boxes": tf.constant(boxes), "classes": tf.constant([[4, -1]] * 6)}
    if ragged:
        given = {
            "boxes": tf.RaggedTensor.from_tensor(found, ragged_rank=1),
            "classes": tf.RaggedTensor.from_tensor(tf.fill((6, 1), 4)),
        }
    # Shifts too short to push a disc out of the image.
    policy = Policy(
        [
            cv.RandomFlip("horizontal", bounding_box_format="xyxy"),
            cv.RandomTranslation(0.05, 0.05, fill_mode="constant", bounding_box_format="xyxy"),
        ],
        seed=1,
    )
    inputs = {"images": images, "bounding_boxes": given}
    views = policy(inputs, step=2)
    graph = tf.function(policy, autograph=False)(inputs, step=tf.constant(2, tf.int64))
    moved = views["bounding_boxes"]
    for name in moved:
        assert isinstance(moved[name], tf.RaggedTensor) == ragged
        assert moved[name].dtype == given[name].dtype
        # keras-cv's arithmetic on boxes may differ in the last bit.
        values, others = moved[name], graph["bounding_boxes"][name]
        if ragged:
            values, others = values.to_tensor(), others.to_tensor()
        np.testing.assert_allclose(values, others, atol=1e-5)
    if ragged:
        assert moved["classes"].to_list() == [[4]] * 6
        moved_boxes = moved["boxes"].to_tensor().numpy()
    else:
        np.testing.assert_array_equal(moved["classes"], given["classes"])
        moved_boxes = moved["boxes"].numpy()[:, :1]
        assert (moved["boxes"].numpy()[:, 1] == -1).all()
    seen = np.array([[box_of(view[..., 0] > 127)] for view in views["images"].numpy()])
    assert np.abs(moved_boxes - seen).max() <= 1.0
    assert np.abs(seen - found).max() > 2


def test_boxes_follow_a_crop():
    images, masks = discs()
    found = np.array([[box_of(mask)] for mask in masks], "float32")
    crop = cv.RandomCropAndResize((24, 24), (0.8, 1), (1, 1), bounding_box_format="xyxy")
    boxes = {"boxes": found, "classes": np.zeros((6, 1), "float32")}
    views = Policy([crop], seed=1)({"images": images, "bounding_boxes": boxes})
    seen = np.array([[box_of(view[..., 0] > 127)] for view in views["images"].numpy()])
    assert np.abs(views["bounding_boxes"]["boxes"] - seen).max() <= 1.5


BOXES = {"boxes": np.ones((6, 1, 4), "float32"), "classes": np.zeros((6, 1), "float32")}


@pytest.mark.parametrize(
    ("layer", "annotations", "message"),
    [
        (MixUp(), "bounding_boxes", "MixUp may move or mix pixels"),
        (CutMix(), "bounding_boxes", "CutMix may move or mix pixels"),
        (cv.RandomZoom(0.1), "bounding_boxes", "RandomZoom moves boxes, whose format nobody"),
        (cv.RandomChoice([cv.RandomFlip()]), "bounding_boxes", "RandomChoice may move"),
        (cv.RandomApply(cv.RandomFlip()), "segmentation_masks", "RandomApply may move"),
        (AugMix([cv.RandomFlip()]), "segmentation_masks", "AugMix may move"),
        (RandomSubset([lambda x: x], 1), "segmentation_masks", "RandomSubset may move"),
        (lambda images: images[:, ::-1], "segmentation_masks", "function may move or mix pixels"),
        (cv.RandomFlip(), "bounding_boxes", "bounding_box_format"),
    ],
)
def test_a_layer_that_cannot_move_them_says_so(layer, annotations, message):
    images, masks = discs()
    value = masks if annotations == "segmentation_masks" else BOXES
    with pytest.raises(ValueError, match=message):
        Policy([layer])({"images": images, annotations: value})


def test_layers_alone_move_them_too_or_say_so():
    images, masks = discs()
    inputs = {"images": images, "segmentation_masks": masks}
    views = MixUp(seed=1)(inputs, step=1)
    share = views["share"].numpy()[:, None, None]
    parts = [views[f"{which}segmentation_masks"].numpy() for which in ("", "second_")]
    expected = 255 * (share * parts[0] + (1 - share) * parts[1])
    assert np.abs(views["images"].numpy()[..., 0] - expected).max() <= 0.51
    subset = RandomSubset([cv.RandomFlip()], 1, seed=1)(inputs)
    seen = subset["images"].numpy()[..., 0] > 127
    np.testing.assert_array_equal(seen, subset["segmentation_masks"])
    with pytest.raises(ValueError, match="AugMix may move or mix pixels"):
        AugMix([cv.RandomFlip()])(inputs)


def test_our_crop_alone_moves_masks_and_refuses_boxes():
    images, masks = discs()
    floats = images.astype("float32")
    crop = RandomResizedCrop((0.4, 0.9), seed=1)
    views = crop({"images": floats, "segmentation_masks": masks[..., None].astype("float32")})
    seen = views["images"].numpy()[..., :1] > 127
    assert (seen != views["segmentation_masks"]).numpy().mean() < 0.02
    single = crop({"images": floats[0], "segmentation_masks": masks[0, ..., None]})
    seen = single["images"].numpy()[..., :1] > 127
    assert (seen != single["segmentation_masks"]).numpy().mean() < 0.02
    with pytest.raises(NotImplementedError, match="neither boxes"):
        crop({"images": floats, "bounding_boxes": BOXES})


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        (
            {"segmentation_masks": np.zeros((6, 8, 8))},
            r"height and width of the images, \(24, 24\)",
        ),
        ({"segmentation_masks": np.zeros(6)}, r"Received: shape \(6,\)"),
        ({"bounding_boxes": np.zeros((6, 1, 4))}, "dict of keras-cv's.*ndarray"),
        ({"bounding_boxes": {"boxes": np.zeros((6, 1, 4))}}, r"Received: \['boxes'\]"),
        ({"keypoints": np.zeros((6, 2))}, r"`keypoints` must be.*Received: shape \(6, 2\)"),
        ({"polygons": np.zeros((6, 1, 2))}, "Leave the others out"),
    ],
)
def test_annotations_of_another_form_are_refused(annotations, message):
    images, _ = discs()
    with pytest.raises(ValueError, match=message):
        augment.standard()({"images": images, **annotations})
