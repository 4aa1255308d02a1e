"""A classifier gives probabilities of named classes whatever the file itself takes and gives."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras import export
from kd_keras.export import metadata


def softmax(logits):
    return tf.nn.softmax(np.asarray(logits, "float64")).numpy()


@pytest.mark.parametrize("preset", ["none", "int8"])
def test_logits_become_probabilities(exported, preset, photos):
    path = exported[preset].path
    classifier = export.Classifier(path)
    expected = softmax(export.LiteModel(path).predict(photos[:9]))
    np.testing.assert_allclose(classifier.probabilities(photos[:9]), expected, rtol=1e-6)
    assert (classifier.outputs, classifier.labelled) == ("logits", False)
    assert classifier.labels == ("class 0", "class 1", "class 2", "class 3")
    assert (classifier.image_shape, classifier.name) == ((8, 8, 3), preset)


@pytest.fixture(scope="module")
def with_softmax(student, tmp_path_factory):
    model = keras.Model(student.input, keras.ops.softmax(student.output))
    return export.to_tflite(model, tmp_path_factory.mktemp("softmax") / "softmax.tflite").path


def test_probabilities_of_a_softmax_are_not_softened_again(with_softmax, exported, photos):
    classifier = export.Classifier(with_softmax)
    assert classifier.outputs == "probabilities"
    logits = export.LiteModel(exported["none"].path).predict(photos[:9])
    np.testing.assert_allclose(classifier.probabilities(photos[:9]), softmax(logits), atol=1e-5)


def test_what_the_metadata_say_of_the_output_comes_first(with_softmax, tmp_path, photos):
    labels = ["a", "b", "c", "d"]
    path = tmp_path / "said.tflite"
    path.write_bytes(metadata.pack(with_softmax.read_bytes(), labels=labels, outputs="logits"))
    classifier = export.Classifier(path)
    assert classifier.outputs == "logits"
    probabilities = export.Classifier(with_softmax).probabilities(photos[:2])
    np.testing.assert_allclose(classifier.probabilities(photos[:2]), softmax(probabilities))


def test_the_normalisation_of_the_metadata_is_applied(tmp_path):
    inputs = keras.Input((2, 2, 3))
    outputs = keras.layers.GlobalAveragePooling2D()(inputs)
    result = export.to_tflite(
        keras.Model(inputs, outputs), tmp_path / "mean.tflite", input_range=(-3, 3)
    )
    path = tmp_path / "packed.tflite"
    path.write_bytes(
        metadata.pack(
            result.path.read_bytes(),
            labels=["r", "g", "b"],
            input_mean=(10.0, 20.0, 30.0),
            input_std=(1.0, 2.0, 4.0),
        )
    )
    pixels = np.full((1, 2, 2, 3), (12, 26, 34), "uint8")
    found = export.Classifier(path).probabilities(pixels)
    np.testing.assert_allclose(found, softmax([[2.0, 3.0, 1.0]]), rtol=1e-5)


def test_labels_of_a_text_file_replace_those_in_the_file(exported, tmp_path):
    (tmp_path / "labels.txt").write_text("\ufeffa\n b b \n\nç\nd\n", encoding="utf-8")
    classifier = export.Classifier(exported["none"].path, tmp_path / "labels.txt")
    assert classifier.labels == ("a", "b b", "ç", "d")
    assert classifier.labelled


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "text file in UTF-8.*No such file"),
        (b"\xff\xfe\xfa", "text file in UTF-8"),
        (b"\n \n", "must hold one label a line"),
        (b"a\nb\n", "each of the 4 classes.*2 labels from"),
    ],
)
def test_labels_that_do_not_fit_are_refused(exported, content, said, tmp_path):
    path = tmp_path / "labels.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=said):
        export.Classifier(exported["none"].path, path)


@pytest.mark.parametrize(
    ("shape", "classes", "said"),
    [
        ((4,), 3, r"must take images.*input \(1, 4\)"),
        ((4, 4, 2), 3, r"1 channel \(grey\) or 3 \(RGB\).*\(1, 4, 4, 2\)"),
        ((4, 4, 1), 1, r"two classes or more.*'output_0': \(1, 1\)"),
    ],
)
def test_a_file_that_is_no_image_classifier_is_refused(shape, classes, said, tmp_path):
    model = keras.Sequential(
        [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(classes)]
    )
    export.to_tflite(model, tmp_path / "other.tflite")
    with pytest.raises(ValueError, match=said):
        export.Classifier(tmp_path / "other.tflite")


def test_several_outputs_need_a_word_or_labels_that_say_which(tmp_path):
    inputs = keras.Input((4, 4, 1))
    x = keras.layers.Flatten()(inputs)
    outputs = {"kind": keras.layers.Dense(3)(x), "age": keras.layers.Dense(5)(x)}
    result = export.to_tflite(keras.Model(inputs, outputs), tmp_path / "two.tflite")
    said = r"metadata that give the labels of one.*--classes-output`\), such as '(age|kind)'"
    with pytest.raises(ValueError, match=said):
        export.Classifier(result.path)
    with pytest.raises(
        ValueError, match=r"must name an output .*: (age, kind|kind, age)\. .*'box'"
    ):
        export.Classifier(result.path, classes_output="box")
    chosen = export.Classifier(result.path, classes_output="age")
    assert (chosen.output, chosen.labelled, len(chosen.labels)) == ("age", False, 5)
    assert chosen.probabilities(np.zeros((1, 4, 4, 1))).shape == (1, 5)

    result.path.write_bytes(metadata.pack(result.path.read_bytes(), labels=["a", "b", "c"]))
    classifier = export.Classifier(result.path)
    assert (classifier.output, classifier.labels) == ("kind", ("a", "b", "c"))
    assert classifier.probabilities(np.zeros((1, 4, 4, 1))).shape == (1, 3)
    # Those are no names of the ages.
    assert not export.Classifier(result.path, classes_output="age").labelled
