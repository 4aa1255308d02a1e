"""A small U-Net is trained and distilled with flips, turns and crops inside of `fit`."""

import keras
import keras_cv
import numpy as np
import pytest

import kd_keras
from kd_keras.augment import Policy, RandomFlip, RandomResizedCrop
from kd_keras.losses import KLDivergence

SIZE, CLASSES = 16, 3


def objects(count, seed):
    """Noise with a red and a blue square in it, and where they are."""
    random = np.random.default_rng(seed)
    images = random.uniform(0, 60, (count, SIZE, SIZE, 3)).astype("float32")
    masks = np.zeros((count, SIZE, SIZE), "int32")
    for image, mask in zip(images, masks, strict=True):
        for label, colour in ((1, (200, 60, 60)), (2, (60, 60, 200))):
            row, column = random.integers(0, SIZE - 6, 2)
            image[row : row + 6, column : column + 6] = colour
            mask[row : row + 6, column : column + 6] = label
    return images, masks


def unet(width):
    convolution = {"kernel_size": 3, "padding": "same", "activation": "relu"}
    inputs = keras.Input((SIZE, SIZE, 3))
    fine = keras.layers.Conv2D(width, **convolution)(keras.layers.Rescaling(1 / 255)(inputs))
    coarse = keras.layers.Conv2D(width, strides=2, **convolution)(fine)
    coarse = keras.layers.Conv2D(width, **convolution)(coarse)
    both = keras.layers.Concatenate()([fine, keras.layers.UpSampling2D()(coarse)])
    return keras.Model(inputs, keras.layers.Conv2D(CLASSES, 3, padding="same")(both))


def mean_iou(network, images, masks):
    chosen = np.argmax(network.predict(images, verbose=0), axis=-1)
    return np.mean(
        [
            np.sum((chosen == c) & (masks == c)) / np.sum((chosen == c) | (masks == c))
            for c in range(CLASSES)
        ]
    )


def fit(model, images, masks, epochs, jit_compile=False):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
    metric = keras.metrics.MeanIoU(CLASSES, ignore_class=255, sparse_y_pred=False, name="iou")
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=[metric], jit_compile=jit_compile)
    return model.fit(images, masks, batch_size=24, epochs=epochs, verbose=0).history


@pytest.mark.slow
def test_masks_stay_on_their_objects():
    images, masks = objects(80, seed=0)  # in batches of 24, 24, 24 and 8
    unseen = objects(64, seed=1)
    policy = Policy(
        [
            RandomFlip("horizontal_and_vertical"),
            keras_cv.layers.RandomRotation(0.25, fill_mode="constant"),
            RandomResizedCrop((0.5, 1.0)),
        ],
        seed=1,
    )
    found = {}
    for spatial in (None, False):
        keras.utils.set_random_seed(0)
        teacher = unet(8)
        fit(kd_keras.Supervised(teacher, policy, spatial=spatial), images, masks, 15)
        found[spatial] = mean_iou(teacher, *unseen)
        if spatial is None:
            best = teacher
    # Labels that stay where they are contradict the pixels.
    assert found[None] > 0.8
    assert found[None] > found[False] + 0.1

    student = unet(4)
    distiller = kd_keras.Distiller(best, student, KLDivergence(2.0), augmentation=policy)
    logs = fit(distiller, images, masks, 10, jit_compile=True)
    assert mean_iou(student, *unseen) > 0.7
    # The teacher is right on the views by the labels that moved with them.
    assert logs["teacher_accuracy"][-1] > 0.93
    assert logs["iou"][-1] > 0.7
