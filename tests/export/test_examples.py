"""Representative and verification data are read in every form and refused where they mislead."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from kd_keras.export.examples import gather, random_examples

SPEC = tf.TensorSpec((None, 4, 4, 1), tf.float32)
IMAGES = np.arange(10 * 16, dtype="uint8").reshape(10, 4, 4, 1)


def read(data, limit=500, spec=SPEC, input_range=(0.0, 255.0)):
    return gather(data, "representative_data", spec, input_range, limit)


@pytest.mark.parametrize(
    "data",
    [
        IMAGES,
        IMAGES.astype("float64"),
        tf.constant(IMAGES),
        tf.data.Dataset.from_tensor_slices(IMAGES).batch(3),
        tf.data.Dataset.from_tensor_slices((IMAGES, np.arange(10))).batch(3),
        tf.data.Dataset.from_tensor_slices((IMAGES, np.arange(10), np.ones(10))).batch(4),
    ],
)
def test_every_form_gives_the_same_float32_examples(data):
    got = read(data)

    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, IMAGES.astype("float32"))


def test_no_more_than_the_limit_is_read_even_of_an_endless_dataset():
    endless = tf.data.Dataset.from_tensor_slices(IMAGES).batch(4).repeat()

    np.testing.assert_array_equal(read(endless, limit=6), IMAGES[:6].astype("float32"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (IMAGES[:0], "`representative_data` holds no examples"),
        (tf.data.Dataset.from_tensor_slices(IMAGES).batch(3).take(0), "holds no examples"),
        (IMAGES[0], r"looks like single images.*\(4, 4, 1\)"),
        (tf.data.Dataset.from_tensor_slices(IMAGES), "looks like single images"),
        (IMAGES[:, :3], r"\(None, 4, 4, 1\).*Received: a batch of shape \(10, 3, 4, 1\)"),
        (tf.data.Dataset.from_tensors({"x": IMAGES}), "must yield x or"),
        (IMAGES.astype("str"), "must hold numbers"),
        (IMAGES / 159.0, r"looks like images in 0\.\.1.*input_range=\(0, 1\)"),
        (IMAGES * 2.0, r"range 0 to 255.*Received: values from 0 to 318"),
        (IMAGES / 1.0 - 128, r"range 0 to 255.*Received: values from -128 to 31"),
        (np.full((1, 4, 4, 1), np.nan), "must be finite"),
        (np.full((1, 4, 4, 1), np.inf), "must be finite"),
    ],
)
def test_what_would_mislead_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        read(data)


def test_a_list_is_no_array():
    with pytest.raises(TypeError, match=r"array of images or a tf.data.Dataset.*type list"):
        read([1, 2])


def test_another_range_can_be_declared():
    unit = (IMAGES / 159.0).astype("float32")

    np.testing.assert_array_equal(read(unit, input_range=(0.0, 1.0)), unit)
    np.testing.assert_array_equal(read(unit, input_range=None), unit)


def test_black_images_are_not_taken_for_the_unit_range():
    assert read(np.zeros((2, 4, 4, 1))).shape == (2, 4, 4, 1)


def test_an_integer_input_takes_integers_alone():
    spec = tf.TensorSpec((None, 4, 4, 1), tf.uint8)

    assert read(IMAGES, spec=spec).dtype == np.uint8
    with pytest.raises(ValueError, match="of dtype uint8. Received: dtype float32"):
        read(IMAGES.astype("float32"), spec=spec)


def test_random_examples_are_the_same_on_every_call_and_fill_the_range():
    first, second = (random_examples(SPEC, (0.0, 255.0), 64) for _ in range(2))

    np.testing.assert_array_equal(first, second)
    assert first.min() >= 0 and first.max() <= 255 and np.ptp(first) > 200


@pytest.mark.parametrize(
    ("spec", "input_range"),
    [
        (tf.TensorSpec((None, None, 4, 1)), (0.0, 255.0)),
        (tf.TensorSpec((None, 4), tf.int32), (0.0, 255.0)),
        (SPEC, None),
    ],
)
def test_inputs_that_cannot_be_drawn_ask_for_data(spec, input_range):
    with pytest.raises(ValueError, match="Pass verification_data="):
        random_examples(spec, input_range, 2)
