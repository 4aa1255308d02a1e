"""What a student's outputs hold is told by the student: no softmax twice, none on a box."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kd_keras import export
from kd_keras.export import metadata

IMAGES = np.zeros((3, 4, 4, 1), "uint8")
IMAGES[0, 0, 0], IMAGES[1, 0, 1], IMAGES[2, 0, 2] = 255, 255, 255
# 0.04 * 255 = 10.2: softmax of (10.2, 0, 0).
RIGHT = 0.99992567
TWICE = 0.576  # its softmax once more


def kernel():
    """Weights by which pixel k of the first row alone says class k."""
    weights = np.zeros((16, 3), "float32")
    weights[:3] = 0.04 * np.eye(3)
    return weights


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3, use_bias=False)

    def call(self, images):
        return keras.ops.softmax(self.dense(keras.ops.reshape(images, (-1, 16))))


def ending_in(form):
    if form == "subclassed":
        student = Subclassed()
        student(IMAGES.astype("float32"))
    else:
        inputs = keras.Input((4, 4, 1))
        activation = form if form in ("softmax", "sigmoid") else None
        x = keras.layers.Flatten()(inputs)
        x = keras.layers.Dense(3, use_bias=False, activation=activation)(x)
        x = {
            "Softmax": keras.layers.Softmax(),
            "Activation": keras.layers.Activation("softmax"),
            "ops": keras.ops.softmax,
        }.get(form, lambda x: x)(x)
        student = keras.Model(inputs, x)
    student.set_weights([kernel()])
    return student


@pytest.mark.parametrize(
    ("form", "probabilities"),
    [
        ("softmax", True),
        ("Softmax", False),
        ("Activation", True),
        ("ops", False),
        ("subclassed", True),
        ("logits", False),
        ("logits", True),
        ("sigmoid", True),
    ],
)
def test_a_softmax_is_there_once(form, probabilities, tmp_path):
    student = ending_in(form)
    path = tmp_path / "s.tflite"
    right = 0.99996281 if form == "sigmoid" else RIGHT

    result = export.to_tflite(
        student,
        path,
        verification_data=IMAGES,
        labels=["a", "b", "c"],
        probabilities=probabilities,
    )

    assert result.largest_difference < 1e-6

    def kind(probabilities):
        return "logits" if form == "logits" and not probabilities else "probabilities"

    expected_kind = kind(probabilities)
    assert metadata.read(path).outputs == expected_kind
    classifier = export.Classifier(path)
    assert classifier.outputs == expected_kind
    np.testing.assert_allclose(np.diag(classifier.probabilities(IMAGES)), right, atol=1e-6)
    if form != "logits":
        expected = student(IMAGES.astype("float32")).numpy()
        np.testing.assert_allclose(export.LiteModel(path).predict(IMAGES), expected, atol=1e-6)
    # Without the metadata the file's own graph tells it, here of the other file.
    export.to_tflite(student, path, verification_data=IMAGES, probabilities=not probabilities)
    assert export.Classifier(path).outputs == kind(not probabilities)


def test_verify_leaves_a_sigmoid_of_several_classes_as_it_is(tmp_path):
    import tensorflow as tf

    student = ending_in("sigmoid")
    export.to_tflite(student, tmp_path / "s.tflite", verification_data=IMAGES)
    data = tf.data.Dataset.from_tensors((IMAGES, [0, 1, 2]))

    found = export.verify(tmp_path / "s.tflite", data, student)

    assert (found.accuracy, found.student.agreement) == (1.0, 1.0)
    assert found.student.largest_difference < 1e-6


def heads(box=4, kinds=3, activation=None):
    inputs = keras.Input((4, 4, 1))
    x = keras.layers.Flatten()(inputs)
    outputs = {
        "box": keras.layers.Dense(box)(x),
        "kind_logits": keras.layers.Dense(kinds, use_bias=False, activation=activation)(x),
    }
    student = keras.Model(inputs, outputs)
    values = np.random.default_rng(0).normal(0, 0.01, (16, box))
    student.layers[-2].set_weights([values, np.zeros(box)])
    student.layers[-1].set_weights([kernel()[:, :kinds]])
    return student


def test_the_box_stays_a_box_and_the_labels_belong_to_the_classes(tmp_path):
    student = heads(box=3)
    path = tmp_path / "s.tflite"
    expected = student(IMAGES.astype("float32"))

    result = export.to_tflite(
        student,
        path,
        verification_data=IMAGES,
        probabilities=True,
        labels=["a", "b", "c"],
        classes_output="kind_logits",
    )
    got = export.LiteModel(path).predict(IMAGES)

    assert metadata.read(path).labelled_output == "kind_probabilities"
    assert result.largest_difference < 1e-6
    np.testing.assert_allclose(got["box"], expected["box"], atol=1e-5)
    np.testing.assert_allclose(np.diag(got["kind_probabilities"]), RIGHT, atol=1e-6)
    np.testing.assert_allclose(np.diag(export.Classifier(path).probabilities(IMAGES)), RIGHT)


@pytest.mark.parametrize(
    ("student", "arguments", "message"),
    [
        (heads(), {"probabilities": True}, r"`probabilities=True`.*classes_output='box'.*\(None"),
        (heads(box=3), {"labels": list("abc")}, "`labels` of 3 classes.*classes_output='box'"),
        (heads(), {"classes_output": "kind"}, "one of the student's outputs: box, kind_logits"),
    ],
)
def test_which_output_has_the_classes_is_not_guessed(student, arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export.to_tflite(student, tmp_path / "s.tflite", verification_data=IMAGES, **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [{"labels": list("abc")}, {"probabilities": True}])
def test_one_softmax_or_one_output_of_that_width_is_plain(arguments, tmp_path):
    student = heads(activation="softmax")

    export.to_tflite(student, tmp_path / "s.tflite", verification_data=IMAGES, **arguments)
    got = export.LiteModel(tmp_path / "s.tflite")

    (name,) = set(got.output_names) - {"box"}
    np.testing.assert_allclose(np.diag(got.predict(IMAGES)[name]), RIGHT, atol=1e-6)


def test_pack_asks_which_of_two_outputs_has_the_labels(tmp_path):
    content = export.to_tflite(
        heads(box=3), tmp_path / "s.tflite", verification_data=IMAGES
    ).path.read_bytes()

    with pytest.raises(ValueError, match="2 have 3 classes.*labelled_output='kind_logits'"):
        metadata.pack(content, labels=list("abc"))
    with pytest.raises(ValueError, match="one of the file's outputs: kind_logits, box"):
        metadata.pack(content, labels=list("abc"), labelled_output="kind")
    packed = metadata.pack(content, labels=list("abc"), labelled_output="kind_logits")
    assert metadata.read(packed).labelled_output == "kind_logits"


def test_labels_need_to_know_how_pixels_go_in(tmp_path):
    student = ending_in("softmax")
    path = tmp_path / "s.tflite"
    images = IMAGES.astype("float32")

    with pytest.raises(ValueError, match=r"Say input_range=.*kd_keras\.export\.metadata\.pack"):
        export.to_tflite(
            student, path, verification_data=images, labels=list("abc"), input_range=None
        )
    # Both remedies: the range, or a normalisation of one's own.
    student.set_weights([255 * kernel()])
    export.to_tflite(
        student, path, verification_data=images / 255, labels=list("abc"), input_range=(0, 1)
    )
    np.testing.assert_allclose(np.diag(export.Classifier(path).probabilities(IMAGES)), RIGHT)
    plain = export.to_tflite(student, path, verification_data=images / 255, input_range=None)
    path.write_bytes(metadata.pack(plain.path.read_bytes(), labels=list("abc"), input_std=255))
    np.testing.assert_allclose(np.diag(export.Classifier(path).probabilities(IMAGES)), RIGHT)
