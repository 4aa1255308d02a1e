"""Label maps, boxes and keypoints stay on their objects, layer by layer."""

import keras_cv
import numpy as np
import pytest
import tensorflow as tf

from kd_keras import augment
from kd_keras.augment import (
    CutMix,
    FMix,
    GaussianNoise,
    MixUp,
    Policy,
    RandomFlip,
    RandomResizedCrop,
    RandomShift,
    RandomSubset,
    RandomTranspose,
)
from kd_keras.augment.layers.choice import Choice

cv = keras_cv.layers

SIZE, OUTSIDE = 24, 255
NEAREST = {"interpolation": "nearest"}
# Layers that take each pixel of a view from one pixel of the image, or from outside.
MODES = {
    "rotation": ("constant", "reflect", "wrap"),
    "zoom": ("constant", "reflect"),
    "shear": ("constant", "reflect"),
    "translation": ("constant", "nearest"),
}
MAKE = {
    "rotation": lambda **how: cv.RandomRotation(0.3, **how),
    "zoom": lambda **how: cv.RandomZoom((-0.4, 0.4), (-0.4, 0.4), **how),
    "shear": lambda **how: cv.RandomShear(0.4, 0.3, **how),
    "translation": lambda **how: cv.RandomTranslation(0.4, 0.3, **how),
}
MOVING = {
    f"{name}, {mode}": MAKE[name](fill_mode=mode, **NEAREST)
    for name, modes in MODES.items()
    for mode in modes
}
MOVING |= {
    "flip": cv.RandomFlip("horizontal_and_vertical"),
    "our flip": RandomFlip("horizontal_and_vertical"),
    "shift": RandomShift(0.3, 0.3),
    "transpose": RandomTranspose(),
    "crop": cv.RandomCrop(16, 12),
    "crop and resize": cv.RandomCropAndResize((20, 28), (0.4, 0.9), (0.8, 1.2), **NEAREST),
    "resized crop": RandomResizedCrop((0.4, 0.9), **NEAREST),
    "one of two": cv.RandomChoice(
        [cv.RandomFlip("vertical"), cv.RandomTranslation(0.3, 0.3, **NEAREST)]
    ),
    "pipeline": cv.RandomAugmentationPipeline(
        [RandomFlip(), cv.RandomTranslation(0.3, 0.3, fill_mode="constant", **NEAREST)], 2
    ),
    "two of three": RandomSubset(
        [
            RandomFlip("vertical"),
            cv.RandomRotation(0.2, fill_mode="constant", **NEAREST),
            cv.RandomCropAndResize((24, 24), (0.4, 0.9), (0.8, 1.2), **NEAREST),
        ],
        2,
    ),
    "feedback's choice": Choice(
        [None, cv.RandomZoom((0.2, 0.4), fill_mode="constant", **NEAREST), RandomFlip(rate=1.0)],
        lambda: tf.constant([0.2, 0.4, 0.4]),
    ),
}


def scenes(count=5, size=SIZE):
    """Images whose pixels say their class, 40 * class + 40, and the classes 0..4."""
    random = np.random.default_rng(0)
    classes = np.zeros((count, size, size), "int32")
    for image in classes:
        for label in range(1, 5):
            row, column = random.integers(0, size - 8, 2)
            image[row : row + 8, column : column + 8] = label
    return (40.0 * classes + 40.0)[..., None].astype("float32"), classes


def told(views):
    """What the pixels of the views say."""
    values = np.asarray(views)[..., 0]
    return np.where(values < 20, OUTSIDE, np.round((values - 40) / 40)).astype(int)


# What keras-cv chooses for each image costs seconds.
COSTLY = ("one of two", "pipeline")
NAMES = [pytest.param(n, marks=pytest.mark.slow) if n in COSTLY else n for n in MOVING]


@pytest.mark.parametrize("name", NAMES)
def test_each_pixel_of_a_view_keeps_its_label(name):
    images, classes = scenes()
    policy = Policy([MOVING[name]], seed=3)
    views = policy({"images": images, "segmentation_masks": classes}, step=1, outside=OUTSIDE)
    np.testing.assert_array_equal(views["segmentation_masks"], told(views["images"]))
    assert views["images"].shape != images.shape or (told(views["images"]) != classes).mean() > 0.05


def test_a_batch_that_is_cut_short_has_the_same_labels():
    images, classes = scenes()
    names = ["rotation, constant", "two of three", "crop and resize"]
    policy = Policy([MOVING[name] for name in names], seed=3)
    inputs = {"images": images, "segmentation_masks": classes}
    views = policy(inputs, step=1, outside=OUTSIDE)
    first = policy({key: value[:2] for key, value in inputs.items()}, step=1, outside=OUTSIDE)
    np.testing.assert_array_equal(first["segmentation_masks"], views["segmentation_masks"][:2])
    np.testing.assert_array_equal(policy(images, step=1), views["images"])


def test_labels_in_a_graph_are_those_of_eager_execution():
    images, classes = scenes()
    layers = [MOVING[name] for name in ("rotation, constant", "zoom, reflect", "crop and resize")]
    policy = Policy([*layers, GaussianNoise(0.01)], seed=3)
    inputs = {"images": images, "segmentation_masks": classes}
    graph = tf.function(lambda i, step: policy(i, step=step, outside=OUTSIDE), autograph=False)
    views = graph(inputs, tf.constant(4, tf.int64))["segmentation_masks"]
    expected = policy(inputs, step=4, outside=OUTSIDE)["segmentation_masks"]
    np.testing.assert_array_equal(views, expected)


@pytest.mark.parametrize(
    "layers",
    [
        [cv.RandomRotation(0.3, fill_mode="constant"), RandomResizedCrop((0.5, 0.9))],
        # Moves a mask of its own.
        pytest.param([cv.JitteredResize((24, 24), (0.8, 1.3))], marks=pytest.mark.slow),
    ],
)
def test_bilinear_pixels_differ_from_their_labels_at_borders_alone(layers):
    images, classes = scenes()
    inputs = {"images": images, "segmentation_masks": classes}
    views = Policy(layers, seed=3)(inputs, step=1, outside=OUTSIDE)
    labels, seen = np.asarray(views["segmentation_masks"]), told(views["images"])
    around = np.lib.stride_tricks.sliding_window_view(labels, (5, 5), axis=(1, 2))
    inner = (around == around[..., 2:3, 2:3]).all(axis=(-1, -2))
    assert inner.mean() > 0.2
    np.testing.assert_array_equal(seen[:, 2:-2, 2:-2][inner], labels[:, 2:-2, 2:-2][inner])


def test_labels_by_hand():
    grid = np.arange(16, dtype="int32").reshape(1, 4, 4)
    inputs = {"images": grid[..., None].astype("float32"), "segmentation_masks": grid}
    quarter = cv.RandomRotation((0.25, 0.25))
    right = cv.RandomTranslation((0.0, 0.0), (0.25, 0.25), fill_mode="constant")
    for layer, expected in (
        (cv.RandomFlip(rate=1.0), grid[:, :, ::-1]),
        (quarter, np.rot90(grid, axes=(1, 2))),
        (right, np.concatenate([np.full((1, 4, 1), -1), grid[:, :, :-1]], axis=2)),
        (RandomShift((0.25, 0.25), 0.0), grid[:, [0, 0, 1, 2]]),
        (RandomTranspose(rate=1.0), grid.transpose(0, 2, 1)),
    ):
        views = Policy([layer])(inputs, outside=-1)
        np.testing.assert_array_equal(views["segmentation_masks"], expected)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "bool", "float16"])
def test_maps_keep_their_dtype_and_axes(dtype):
    images, classes = scenes(2)
    policy = Policy([cv.RandomRotation(0.2), RandomFlip()], seed=1)
    moved = policy({"images": images, "segmentation_masks": classes})["segmentation_masks"]
    for given in (classes > 0, classes[..., None] > 0, classes[..., None] == np.arange(5)):
        masks = given.astype(dtype)
        out = policy({"images": images, "segmentation_masks": masks})["segmentation_masks"]
        assert (out.dtype.name, out.shape) == (dtype, masks.shape)
        whole = out[..., 1] if masks.ndim == 4 and masks.shape[-1] == 5 else out
        expected = (moved == 1) if masks.ndim == 4 and masks.shape[-1] == 5 else (moved > 0)
        np.testing.assert_array_equal(
            np.asarray(whole).reshape(expected.shape).astype(bool), expected
        )


def test_pixels_from_outside_need_a_label():
    images, classes = scenes(2)
    policy = Policy([cv.RandomTranslation(0.4, 0.4, fill_mode="constant")], seed=1)
    inputs = {"images": images, "segmentation_masks": classes}
    with pytest.raises(ValueError, match=r"outside of the picture.*policy\(inputs, outside=255\)"):
        policy(inputs)
    moved = policy(inputs, outside=255)["segmentation_masks"]
    assert 0.1 < np.mean(moved == 255) < 0.9
    # One value per class: no class has a share.
    one_hot = np.eye(5, dtype="float32")[classes]
    shares = policy({"images": images, "segmentation_masks": one_hot})["segmentation_masks"]
    np.testing.assert_array_equal(np.sum(shares, axis=-1), np.asarray(moved) != 255)


def test_half_precision_moves_labels_exactly_or_not_at_all():
    images, classes = scenes(4, 40)
    inputs = {"images": images, "segmentation_masks": classes}
    for layer in (
        cv.RandomCrop(17, 23, dtype="float16"),
        cv.RandomTranslation(0.3, 0.3, dtype="float16", **NEAREST),
        cv.RandomZoom((-0.3, 0.3), dtype="float16", **NEAREST),
    ):
        views = Policy([layer], seed=1)(inputs)
        np.testing.assert_array_equal(views["segmentation_masks"], told(views["images"]))
    half = cv.RandomChoice([RandomFlip(dtype="float16")], dtype="float16")
    with pytest.raises(ValueError, match=r"half precision.*random_flip.*dtype='float32'"):
        Policy([half])(inputs)


def test_what_hides_pixels_leaves_their_labels():
    images, classes = scenes(2)
    inputs = {"images": images, "segmentation_masks": classes}
    for layer in (cv.RandomCutout(0.5, 0.5), augment.GridMask(fill_value=0)):
        views = Policy([layer], seed=1)(inputs)
        assert (told(views["images"]) == OUTSIDE).mean() > 0.05
        np.testing.assert_array_equal(views["segmentation_masks"], classes)


@pytest.mark.parametrize("mixing", [CutMix(), FMix()])
def test_a_pasted_region_brings_its_labels(mixing):
    images, classes = scenes()
    inputs = {"images": images, "segmentation_masks": classes}
    views = Policy([RandomFlip(), mixing], seed=3)(inputs, step=2)
    assert sorted(views) == ["images", "segmentation_masks"]  # nothing is left to share
    np.testing.assert_array_equal(views["segmentation_masks"], told(views["images"]))
    # Beside labels of whole images there is a share, and maps are the same on both sides.
    both = Policy([RandomFlip(), mixing], seed=3)({**inputs, "labels": np.arange(5)}, step=2)
    for key in ("segmentation_masks", "second_segmentation_masks"):
        np.testing.assert_array_equal(both[key], views["segmentation_masks"])
    assert (np.asarray(both["share"]) >= 0.5).all()
    assert (np.asarray(both["labels"]) != np.asarray(both["second_labels"])).all()


def test_mixup_gives_both_maps_and_what_comes_after_moves_both():
    images, classes = scenes()
    inputs = {"images": images, "segmentation_masks": classes}
    policy = Policy([MixUp(1.0), MOVING["rotation, wrap"]], seed=3)
    views = policy(inputs, step=2)
    share = np.asarray(views["share"])[:, None, None]
    first, second = (np.asarray(views[f"{w}segmentation_masks"]) for w in ("", "second_"))
    expected = 40 + 40 * (share * first + (1 - share) * second)
    np.testing.assert_allclose(views["images"][..., 0], expected, rtol=1e-5)
    assert (first != second).mean() > 0.1


def test_a_function_that_names_y_moves_both_inside_a_policy():
    images, classes = scenes()
    inputs = {"images": images, "segmentation_masks": classes}

    def turn(x, y):
        masks = tf.image.rot90(y["segmentation_masks"][..., None])[..., 0]
        return tf.image.rot90(x), {**y, "segmentation_masks": masks}

    views = Policy([turn, RandomFlip()], seed=1)(inputs)
    np.testing.assert_array_equal(views["segmentation_masks"], told(views["images"]))
    assert (told(views["images"]) != classes).mean() > 0.05
    with pytest.raises(ValueError, match="behind MixUp, CutMix or FMix. Put it before"):
        Policy([MixUp(), turn])(inputs)
    Policy([turn, MixUp()])(inputs)
    with pytest.raises(TypeError, match="names `y` in its signature"):
        RandomSubset([turn], 1)


@pytest.mark.parametrize("layer", [MixUp(), CutMix()])
def test_boxes_and_keypoints_are_not_mixed(layer):
    inputs = {"images": scenes(2)[0], "keypoints": np.ones((2, 1, 2), "float32")}
    with pytest.raises(ValueError, match="cannot do so with keypoints"):
        Policy([layer])(inputs)
