"""Representative and verification data are read in every form and refused where they mislead."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import tensorflow as tf

from kd_keras.export.examples import gather, random_examples, with_ends

SPEC = tf.TensorSpec((None, 4, 4, 1), tf.float32)
IMAGES = np.arange(10 * 16, dtype="uint8").reshape(10, 4, 4, 1)


def read(data, limit=500, spec=SPEC, input_range=(0.0, 255.0), classes=None):
    read = gather(data, "representative_data", {"x": spec}, input_range, limit, classes=classes)
    return read["x"]


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
        (tf.data.Dataset.from_tensors({"y": IMAGES}), "must yield x or"),
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
    first, second = (random_examples({"x": SPEC}, (0.0, 255.0), 64)["x"] for _ in range(2))

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
        random_examples({"x": spec}, input_range, 2)


def labelled(labels, batch=4):
    """Images whose every pixel is their position, with these labels."""
    positions = np.arange(len(labels), dtype="float32").reshape(-1, 1, 1, 1)
    images = np.broadcast_to(positions, (len(labels), 4, 4, 1))
    return tf.data.Dataset.from_tensor_slices((images, np.asarray(labels))).batch(batch)


def taken(labels, limit, classes):
    got = read(labelled(labels), limit=limit, classes=classes)
    return np.asarray(labels)[got[:, 0, 0, 0].astype(int)]


def test_classes_are_taken_evenly_though_the_data_are_sorted():
    labels = [0] * 20 + [1] * 20 + [2] * 20

    assert np.bincount(taken(labels, 12, 3)).tolist() == [4, 4, 4]
    assert np.bincount(taken(labels, 12, None)).tolist() == [12]


def test_a_rare_class_gives_all_it_has_and_the_others_fill_up():
    labels = [0] * 20 + [1] + [2] * 20

    counts = np.bincount(taken(labels, 12, 3))

    assert counts.sum() == 12 and counts[1] == 1 and abs(counts[0] - counts[2]) <= 1


def test_one_hot_labels_and_columns_are_class_labels_too():
    labels = np.repeat([0, 1, 2], 20)
    for form in (np.eye(3)[labels], labels[:, None]):
        got = read(labelled(form), limit=12, classes=3)[:, 0, 0, 0].astype(int)
        assert np.bincount(labels[got]).tolist() == [4, 4, 4]


def test_data_without_class_labels_give_the_first_examples():
    regression = np.linspace(0, 1, 30)

    got = read(labelled(regression), limit=7, classes=3)

    assert got[:, 0, 0, 0].tolist() == list(range(7))


def test_an_endless_dataset_that_lacks_a_class_is_not_read_for_ever():
    endless = labelled([0] * 6 + [1] * 6).repeat()

    assert len(read(endless, limit=4, classes=3)) == 4


SEVERAL = {"image": SPEC, "mask": tf.TensorSpec((None, 2), tf.float32)}


@pytest.mark.parametrize(
    "data",
    [
        {"mask": np.ones((10, 2)), "image": IMAGES},
        tf.data.Dataset.from_tensor_slices({"mask": np.ones((10, 2)), "image": IMAGES}).batch(3),
        tf.data.Dataset.from_tensor_slices(((IMAGES, np.ones((10, 2))), np.ones(10))).batch(3),
    ],
)
def test_several_inputs_come_by_name_or_in_order(data):
    got = gather(data, "representative_data", SEVERAL, (0.0, 255.0), 5)

    np.testing.assert_array_equal(got["image"], IMAGES[:5].astype("float32"))
    assert got["mask"].shape == (5, 2)


def test_several_inputs_need_all_of_their_names():
    with pytest.raises(ValueError, match=r"a dict of \['image', 'mask'\].*with keys \['image'\]"):
        gather({"image": IMAGES}, "representative_data", SEVERAL, None, 5)


def test_the_ends_of_the_range_are_put_into_a_copy():
    examples = {"x": np.full((3, 2, 2, 1), 7, "float32")}

    got = with_ends(examples, (0.0, 255.0))["x"]

    assert got[0].ravel().tolist() == [0, 255, 7, 7]
    assert (got[1:] == 7).all() and (examples["x"] == 7).all()
    assert with_ends(examples, None) is examples


@pytest.mark.parametrize(("top", "warned"), [(16, True), (25, True), (26, False), (255, False)])
def test_examples_of_another_scale_than_the_students_are_warned_of(top, warned):
    values = np.linspace(0, top, 8, dtype="float32").reshape(2, 2, 2, 1)
    spec = {"x": tf.TensorSpec((None, 2, 2, 1), tf.float32)}

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gather(values, "representative_data", spec, (0.0, 255.0), 2)
        # The remedy.
        gather(values, "representative_data", spec, (0.0, float(top)), 2)

    assert [str(each.message).partition(" of ")[0] for each in caught] == (
        [f"`representative_data` holds values from 0 to {top}, {100 * top / 255:.2g} %"]
        if warned
        else []
    )
