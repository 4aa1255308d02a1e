"""Every operation that the package promises keeps, in a Policy, what a policy promises."""

import keras_cv
import numpy as np
import pytest
import tensorflow as tf

from kd_keras import augment
from kd_keras.augment import Policy

cv = keras_cv.layers

# Layers for images in a range, by the name of what they do.
OPERATIONS = {
    "rotation": lambda value_range: cv.RandomRotation(0.1),
    "scale": lambda value_range: cv.RandomZoom((-0.3, 0.3), (-0.3, 0.3)),
    "shear": lambda value_range: cv.RandomShear(0.3, 0.3),
    "crop": lambda value_range: cv.RandomCrop(16, 16),
    "resized crop": lambda value_range: augment.RandomResizedCrop((0.4, 0.9)),
    "flip": lambda value_range: cv.RandomFlip("horizontal_and_vertical"),
    "flip by index": lambda value_range: augment.RandomFlip("horizontal_and_vertical"),
    "transpose": lambda value_range: augment.RandomTranspose(),
    "shift": lambda value_range: augment.RandomShift(0.3, 0.3),
    "translation": lambda value_range: cv.RandomTranslation(0.3, 0.3),
    "cutout": lambda value_range: cv.RandomCutout((0.4, 0.4), (0.4, 0.4)),
    "brightness": lambda value_range: cv.RandomBrightness(0.3, value_range),
    "contrast": lambda value_range: cv.RandomContrast(value_range, 0.5),
    "saturation": lambda value_range: cv.RandomSaturation((0.2, 0.8)),
    "hue": lambda value_range: cv.RandomHue(0.3, value_range),
    "blur": lambda value_range: augment.GaussianBlur((0.5, 1.5), value_range),
    "sharpness": lambda value_range: augment.Sharpness((0.0, 3.0), value_range),
    "jpeg": lambda value_range: augment.JpegCompression((5, 60), value_range),
    "posterise": lambda value_range: augment.Posterize((1, 5), value_range),
    "equalise": lambda value_range: augment.Equalize(0.5, value_range),
    "gaussian noise": lambda value_range: augment.GaussianNoise((0.0, 0.2), value_range),
    "salt and pepper": lambda value_range: augment.SaltAndPepper((0.0, 0.2), value_range),
    "speckle noise": lambda value_range: augment.SpeckleNoise((0.0, 0.3), value_range),
    "RandAugment": lambda value_range: augment.RandomSubset(
        [
            cv.RandomRotation(0.1),
            cv.RandomBrightness(0.3, value_range),
            augment.Posterize((2, 5), value_range),
        ],
        count=2,
    ),
    "AugMix": lambda value_range: augment.AugMix(
        [cv.RandomRotation(0.1), augment.Posterize((2, 5), value_range)]
    ),
    "MixUp": lambda value_range: augment.MixUp(1.0),
    "CutMix": lambda value_range: augment.CutMix(),
    "FMix": lambda value_range: augment.FMix(),
    "GridMask": lambda value_range: augment.GridMask(value_range=value_range),
}
MIXING = ("MixUp", "CutMix", "FMix")
SIZE = 20


def batch(value_range, dtype):
    """Six images of smooth colours and extremes, of which the second half repeats one of them."""
    random = np.random.default_rng(0)
    grid = np.arange(SIZE) / SIZE
    waves = np.sin(grid[:, None, None] * random.uniform(3, 9, (3, 1, 1, 3)) + 5 * grid[:, None])
    images = np.clip(0.5 + 0.7 * waves, 0, 1)
    images = np.concatenate([images, np.repeat(images[:1], 3, axis=0)])
    low, high = value_range
    images = low + images * (high - low)
    return tf.constant(np.round(images).astype(dtype) if dtype == "uint8" else images.astype(dtype))


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize(
    ("value_range", "dtype"),
    [
        pytest.param((0, 255), "uint8", id="bytes"),
        pytest.param((0, 1), "float32", id="unit", marks=pytest.mark.slow),
    ],
)
def test_an_operation_is_seeded_in_the_graph_in_range_and_leaves_labels(name, value_range, dtype):
    images = batch(value_range, dtype)
    labels = tf.constant([5, 0, 2, 3, 4, 1])
    policy = Policy([OPERATIONS[name](value_range)], seed=1, value_range=value_range)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, SIZE, SIZE, 3], dtype),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([], tf.int64),
        ]
    )
    def graph(images, labels, step):
        return policy({"images": images, "labels": labels}, step=step)

    views = graph(images, labels, 3)
    eager = policy({"images": images, "labels": labels}, step=3)
    for key in views:
        np.testing.assert_array_equal(views[key], eager[key], err_msg=key)
    values = views["images"].numpy()

    assert values.dtype == dtype
    assert value_range[0] <= values.min() <= values.max() <= value_range[1]
    if values.shape == images.shape:
        assert np.abs(values.astype("float32") - images).mean() > 0.002 * value_range[1]
    assert not np.array_equal(values, graph(images, labels, 4)["images"])
    if name in MIXING:
        # Which label stands first depends on the share; none is changed.
        pairs = np.stack([views["labels"], views["second_labels"]], axis=1)
        assert (pairs == labels.numpy()[:, None]).any(axis=1).all()
    else:
        np.testing.assert_array_equal(views["labels"], labels)
        # A batch cut short has the first views, and equal images get different ones.
        short = graph(images[:4], labels[:4], 3)["images"]
        np.testing.assert_array_equal(short, values[:4])
        many = graph(tf.repeat(images[:1], 12, axis=0), tf.zeros(12, tf.int32), 3)["images"]
        assert len({view.tobytes() for view in many.numpy()}) > 1
