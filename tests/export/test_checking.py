"""`verify` and its thresholds, by numbers worked out by hand."""

from __future__ import annotations

import hashlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras import export

# The file gives back what it gets, so these are its logits too.
SCORES = np.array([[9, 1, 0], [1, 8, 3], [4, 2, 1], [0, 5, 4], [2, 1, 7]], "float32")
LABELS = np.array([0, 1, 2, 1, 2])


def linear(kernel):
    layer = keras.layers.Dense(3, use_bias=False)
    model = keras.Sequential([keras.Input((3,)), layer])
    layer.kernel.assign(kernel)
    return model


def batches(scores=SCORES, labels=LABELS):
    return tf.data.Dataset.from_tensor_slices((scores, labels)).batch(2)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("checked") / "identity.tflite"
    export.to_tflite(linear(np.eye(3)), path, input_range=(0, 9))
    return path


def test_accuracy_agreement_and_differences_by_hand(path):
    # The student has the second logit a half lower; the teacher exchanges the first two.
    student = linear(np.diag([1.0, 0.5, 1.0]))
    teacher = linear(np.eye(3)[[1, 0, 2]])
    seen = []

    found = export.verify(path, batches(), student, teacher, progress=seen.append)

    assert found.accuracy == 0.8
    assert (found.student.accuracy, found.student.agreement) == (0.6, 0.8)
    assert found.student.largest_difference == pytest.approx(4)
    assert found.student.mean_difference == pytest.approx((1 + 8 + 2 + 5 + 1) / 2 / 15)
    assert (found.teacher.accuracy, found.teacher.agreement) == (0.2, 0.2)
    assert (found.examples, seen) == (5, [2, 4, 5])
    assert found.bytes == path.stat().st_size
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("preset", ["none", "float16"])
def test_a_file_of_probabilities_is_compared_with_the_students_probabilities(preset, tmp_path):
    student = linear(np.eye(3))
    path = tmp_path / "p.tflite"
    export.to_tflite(student, path, preset, input_range=(0, 9), probabilities=True)

    found = export.verify(path, batches(), student, linear(np.eye(3)[[1, 0, 2]]))

    assert found.accuracy == 0.8
    assert found.student.largest_difference < 1e-3
    swapped = tf.nn.softmax(SCORES) - tf.nn.softmax(SCORES[:, [1, 0, 2]])
    expected = np.abs(swapped).max()
    assert found.teacher.largest_difference == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("labels", [np.eye(3)[LABELS], LABELS[:, None], LABELS.astype("float32")])
def test_one_hot_and_column_labels_are_the_same_labels(labels, path):
    assert export.verify(path, batches(labels=labels)).accuracy == 0.8


def test_integer_images_are_the_same_images(path):
    found = export.verify(path, batches(SCORES.astype("uint8")), linear(np.eye(3)))

    assert (found.accuracy, found.student.largest_difference) == (0.8, 0)


def test_thresholds_are_met_by_equality_and_missed_by_their_distance(path):
    found = export.verify(path, batches(), linear(np.diag([1.0, 0.5, 1.0])))

    assert export.missed(found) == ()
    assert export.missed(found, min_accuracy=0.8, min_agreement=0.8, max_difference=4) == ()
    missed = export.missed(found, min_accuracy=0.9, min_agreement=0.81, max_difference=3.5)
    assert list(map(str, missed)) == [
        "the accuracy is 0.8, which is 0.1 below min_accuracy=0.9",
        "the agreement with the student is 0.8, which is 0.01 below min_agreement=0.81",
        "the largest difference from the student is 4, which is 0.5 above max_difference=3.5",
    ]


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ({"min_accuracy": 95}, "`min_accuracy` must be .*share"),
        ({"min_accuracy": float("nan")}, "`min_accuracy` must be .*share"),
        ({"max_difference": -1}, "`max_difference` must be a finite number >= 0"),
        ({"min_agreement": 0.9}, "Pass `student`, or leave it out"),
        ({"max_difference": 1}, "Pass `student`, or leave it out"),
    ],
)
def test_thresholds_that_cannot_be_judged_are_refused(thresholds, message, path):
    found = export.verify(path, batches())

    with pytest.raises(ValueError, match=message):
        export.missed(found, **thresholds)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (batches().map(lambda x, y: x), r"must yield \(x, y\), because accuracy needs labels"),
        (batches().repeat(), "must end"),
        (batches().take(0), "at least one batch"),
        (batches(SCORES[:, :2]), r"shape \(3,\).*Received: images of shape \(2,\)"),
        (batches(SCORES.astype("str")), "real numbers"),
        (batches(labels=LABELS + 1), "labels from 0 to 2.*Received: labels from 2 to 3"),
        (batches(labels=np.eye(4)[LABELS]), "class ids of shape"),
        (batches().map(lambda x, y: (x, {"a": y})), "one tensor each"),
        (batches(SCORES + np.inf), "not finite"),
    ],
)
def test_unusable_data_are_refused(dataset, message, path):
    with pytest.raises(ValueError, match=message):
        export.verify(path, dataset)


def test_data_that_are_no_dataset_and_models_that_are_none_are_refused(path):
    with pytest.raises(TypeError, match="tf.data.Dataset"):
        export.verify(path, (SCORES, LABELS))
    with pytest.raises(TypeError, match="`teacher` must be a `keras.Model`"):
        export.verify(path, batches(), teacher="teacher.keras")


def test_a_student_or_teacher_of_other_data_is_refused(path):
    wide = keras.Sequential([keras.Input((3,)), keras.layers.Dense(7)])
    with pytest.raises(ValueError, match=r"`student` must give.*\(None, 3\).*\(2, 7\)"):
        export.verify(path, batches(), wide)
    tall = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match=r"`teacher` must take.*\(None, 4\)"):
        export.verify(path, batches(), teacher=tall)


def test_one_of_several_outputs_is_chosen_by_name(tmp_path):
    inputs = keras.Input((3,))
    model = keras.Model(
        inputs,
        {
            "kind": keras.layers.Activation("linear")(inputs),
            "other": keras.layers.Rescaling(-1.0)(inputs),
        },
    )
    path = tmp_path / "two.tflite"
    export.to_tflite(model, path, input_range=(0, 9))

    kind = export.verify(path, batches(), model, output="kind")
    other = export.verify(path, batches(), model, output="other")

    assert (kind.output, kind.accuracy, kind.student.agreement) == ("kind", 0.8, 1.0)
    assert (other.accuracy, other.student.agreement) == (0.2, 1.0)
    with pytest.raises(ValueError, match="one of the file's outputs: kind, other"):
        export.verify(path, batches(), model)


def test_a_truncated_file_is_refused_by_name(path, tmp_path):
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(path.read_bytes()[:300])

    with pytest.raises(ValueError, match=r"(cut off|lacks the mark).*cut\.tflite"):
        export.verify(cut, batches())
