"""One pass over a split gives outputs and labels in the same order."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras.evaluate import predict_logits

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 6, 6, 1), dtype="uint8")
LABELS = np.arange(20)
DATASET = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.conv = keras.layers.Conv2D(2, 3)
        self.norm = keras.layers.BatchNormalization()
        self.pool = keras.layers.GlobalAveragePooling2D()

    def call(self, images, training=False):
        return self.pool(self.norm(self.conv(images), training=training))


def test_outputs_and_labels_of_uint8_images_in_a_shuffled_order(make_net):
    net = make_net()

    logits, labels = predict_logits(net, DATASET.shuffle(20, seed=1).batch(7))

    assert sorted(labels) == list(range(20)) and list(labels) != list(range(20))
    assert logits.dtype == np.float32
    expected = net(IMAGES[labels].astype("float32"), training=False)
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_a_subclassed_model_takes_uint8_images_too_and_nothing_of_it_moves():
    model = Subclassed()
    model(IMAGES[:1].astype("float32"))
    before = [weight.numpy().copy() for weight in model.weights]

    logits, _ = predict_logits(model, DATASET.batch(8))

    assert logits.shape == (20, 2)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)


def test_an_integer_input_is_not_cast():
    inputs = keras.Input((6, 6, 1), dtype="uint8")
    model = keras.Model(inputs, keras.layers.Flatten()(keras.layers.Rescaling(1.0)(inputs)))

    logits, _ = predict_logits(model, DATASET.batch(8))

    np.testing.assert_array_equal(logits, IMAGES.reshape(20, 36).astype("float32"))


def test_dicts_of_outputs_stay_dicts_and_weights_are_left_out():
    inputs = keras.Input((6, 6, 1))
    model = keras.Model(inputs, {"flat": keras.layers.Flatten()(inputs), "same": inputs})
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, {"flat": LABELS}, LABELS)).batch(8)

    outputs, labels = predict_logits(model, dataset)

    assert outputs["flat"].shape == (20, 36)
    assert outputs["same"].shape == (20, 6, 6, 1)
    np.testing.assert_array_equal(labels["flat"], LABELS)


def test_half_precision_outputs_come_as_float32():
    inputs = keras.Input((6, 6, 1))
    model = keras.Model(inputs, keras.layers.Flatten(dtype="mixed_bfloat16")(inputs))

    logits, _ = predict_logits(model, DATASET.batch(8))

    assert logits.dtype == np.float32


def test_progress_hears_of_every_batch(make_net):
    heard = []

    predict_logits(make_net(), DATASET.batch(8), heard.append)

    assert heard == [8, 16, 20]


@pytest.mark.parametrize(
    ("dataset", "error", "message"),
    [
        (IMAGES, TypeError, "must be a tf.data.Dataset.*type ndarray"),
        (DATASET.map(lambda x, y: x).batch(8), ValueError, r"must yield \(x, y\)"),
        (DATASET.batch(8).repeat(), ValueError, "must end"),
        (DATASET.take(0).batch(8), ValueError, "at least one batch"),
    ],
)
def test_unusable_datasets_are_refused(dataset, error, message, make_net):
    with pytest.raises(error, match=message):
        predict_logits(make_net(), dataset)


def test_a_change_is_made_to_the_images_with_the_labels_at_hand(make_net):
    net = make_net()

    logits, labels = predict_logits(
        net, DATASET.batch(7), change=lambda x, y: tf.where(y[:, None, None, None] > 3, x, 255 - x)
    )

    images = np.where(LABELS[:, None, None, None] > 3, IMAGES, 255 - IMAGES)
    np.testing.assert_array_equal(labels, LABELS)
    np.testing.assert_allclose(logits, net(images.astype("float32"), training=False), atol=1e-5)
