"""One examination of many models: its figures are those of the measures, on the same images."""

from __future__ import annotations

import dataclasses
import json
import re
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras import evaluate, export
from kd_keras.evaluate import Examination, Trials, examine

NONE = Trials(corruptions=(), rotations=(), scales=(), attacks=False)
SOME = Trials(corruptions=("fog", "contrast"), severities=(1, 5), rotations=(0, 40), scales=(1, 2))
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (50, 8, 8, 1), dtype="uint8")
LABELS = RANDOM.integers(0, 3, 50)


def split(images=IMAGES, labels=LABELS, batch=16):
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(batch)


def network(seed):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Rescaling(1 / 64),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )


@pytest.fixture(scope="module")
def networks():
    return {"teacher": network(1), "student": network(2)}


@pytest.fixture(scope="module")
def examined(networks, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "student.tflite"
    export.to_tflite(networks["student"], path)
    models = {**networks, "file": export.LiteModel(path).predict}
    return examine(
        models,
        split(),
        teacher="teacher",
        training=split(IMAGES[:10], LABELS[:10]),
        views=lambda images, step: np.flip(images, axis=2),
        trials=SOME,
    )


def test_the_figures_are_those_of_the_measures(examined, networks):
    logits, labels = evaluate.predict_logits(networks["student"], split())
    teacher, _ = evaluate.predict_logits(networks["teacher"], split())
    got = examined["student"]
    assert got.examples == 50
    assert got.accuracy == evaluate.accuracy(logits, labels)
    assert got.cross_entropy == pytest.approx(evaluate.cross_entropy(logits, labels))
    assert got.calibration_error == evaluate.expected_calibration_error(logits, labels)
    assert got.brier_score == pytest.approx(evaluate.brier_score(logits, labels))
    assert got.reliability == evaluate.reliability(logits, labels)
    assert got.fidelity.agreement == evaluate.agreement(logits, teacher)
    assert got.fidelity.kl == pytest.approx(evaluate.kl_to_teacher(teacher, logits))
    matrix = np.zeros((3, 3), int)
    for label, given, count in got.confusions:
        matrix[label, given] = count
    np.testing.assert_array_equal(matrix, evaluate.confusion_matrix(logits, labels))
    np.testing.assert_allclose(got.recall, np.diag(matrix) / np.bincount(LABELS))
    assert got.class_examples == tuple(np.bincount(LABELS))


def test_the_gap_is_training_less_test_for_accuracy_and_test_less_training_for_loss(
    examined, networks
):
    got = examined["student"]
    logits, labels = evaluate.predict_logits(networks["student"], split(IMAGES[:10], LABELS[:10]))
    assert got.training.examples == 10
    assert got.training.accuracy == evaluate.accuracy(logits, labels)
    assert got.accuracy_gap == got.training.accuracy - got.accuracy
    assert got.cross_entropy_gap == pytest.approx(
        got.cross_entropy - evaluate.cross_entropy(logits, labels)
    )


def test_fidelity_on_views_is_that_on_what_the_function_gives(examined, networks):
    flipped = split(np.flip(IMAGES, axis=2))
    logits, _ = evaluate.predict_logits(networks["student"], flipped)
    teacher, _ = evaluate.predict_logits(networks["teacher"], flipped)
    got = examined["student"].fidelity_on_views
    assert got.agreement == evaluate.agreement(logits, teacher)
    assert got.kl == pytest.approx(evaluate.kl_to_teacher(teacher, logits))
    assert got.kl != pytest.approx(examined["student"].fidelity.kl)
    assert (examined["teacher"].fidelity_on_views.kl, examined["teacher"].fidelity.kl) == (0, 0)


@pytest.mark.slow
def test_trials_are_those_of_the_functions_for_each(examined, networks):
    student, got = networks["student"], examined["student"].robustness
    expected = evaluate.corruptions.corruption_errors(
        {"student": student}, split(), SOME.corruptions, SOME.severities
    )["student"]
    assert {name: list(errors) for name, errors in got.corruption_errors.items()} == expected
    assert got.corruption_error == pytest.approx(np.mean(list(expected.values())))

    def accuracy(change):
        return evaluate.accuracy(*evaluate.predict_logits(student, split(), change=change))

    assert got.rotations[1] == (40.0, accuracy(lambda x, y: evaluate.rotate(x, 40)))
    assert got.scales[1] == (2.0, accuracy(lambda x, y: evaluate.scale(x, 2)))
    assert got.fgsm == accuracy(partial(evaluate.fgsm, student))
    assert got.pgd <= examined["student"].accuracy


def test_no_rotation_and_no_scaling_leave_the_accuracy(examined):
    for examination in examined.values():
        assert examination.robustness.rotations[0] == (0.0, examination.accuracy)
        assert examination.robustness.scales[0] == (1.0, examination.accuracy)


def test_a_float32_file_agrees_with_its_network_and_is_not_attacked(examined):
    network, file = examined["student"], examined["file"]
    assert file.confusions == network.confusions
    assert file.robustness.corruption_errors == network.robustness.corruption_errors
    assert file.robustness.rotations == network.robustness.rotations
    assert file.cross_entropy == pytest.approx(network.cross_entropy, abs=1e-4)
    assert (file.robustness.fgsm, file.robustness.pgd) == (None, None)
    assert "no gradient" in file.robustness.left_out["attacks"]
    assert network.robustness.left_out == {}


def test_an_examination_goes_through_json_unchanged(examined):
    for examination in examined.values():
        again = Examination.from_dict(json.loads(json.dumps(examination.to_dict())))
        assert again == examination
    bare = examine({"m": network(3)}, split(), trials=NONE)["m"]
    assert bare.fidelity is bare.training is bare.fidelity_on_views is None
    assert bare.accuracy_gap is bare.robustness.corruption_error is None
    assert Examination.from_dict(json.loads(json.dumps(bare.to_dict()))) == bare


def test_a_limit_takes_evenly_spaced_images_and_leaves_the_clean_figures(networks):
    # Sorted by class, as a folder of images is: the first ten would all be of one class.
    labels = np.sort(LABELS)
    trials = dataclasses.replace(NONE, rotations=(0,))
    got = examine(networks, split(IMAGES, labels), trials=trials, limit=10)["student"]
    places = np.linspace(0, 49, 10).astype(int)
    chosen = split(IMAGES[places], labels[places])
    share = evaluate.accuracy(*evaluate.predict_logits(networks["student"], chosen))
    assert (got.examples, got.robustness.examples) == (50, 10)
    assert got.robustness.rotations == ((0.0, share),)


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (IMAGES.astype("float32"), "float32 of shape \\(8, 8, 1\\).*uint8"),
        (np.repeat(IMAGES, 4, axis=3), "uint8 of shape \\(8, 8, 4\\)"),
    ],
)
def test_what_cannot_be_tried_is_left_out_with_the_reason(images, reason):
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)])
    got = examine({"m": model}, split(images))["m"].robustness
    assert set(got.left_out) == {"corruptions", "rotations", "scales", "attacks"}
    for text in got.left_out.values():
        assert re.search(reason, text)
    assert got.corruption_errors == {}


def test_progress_names_every_part(networks):
    seen = []
    trials = Trials(("fog",), (3,), rotations=(15,), scales=(0.5,))
    examine({"student": networks["student"]}, split(), trials=trials, progress=seen.append)
    assert seen == [
        "test examples",
        "fog, severity 3",
        "degrees 15",
        "factor 0.5",
        "attacks on student",
    ]


@pytest.mark.parametrize(
    ("models", "options", "error", "message"),
    [
        ({}, {}, ValueError, "at least one model"),
        ({"a": len}, {"teacher": "b"}, ValueError, r"\['a'\], teacher='b'"),
        ({"a": len}, {"limit": 0}, ValueError, "`limit` must be an integer >= 1"),
        ({"a": "model.tflite"}, {}, TypeError, "'a' of type str"),
        ({"a": lambda x: {"logits": x}}, {}, TypeError, "'a' outputs of type dict"),
    ],
)
def test_what_cannot_be_examined_is_refused(models, options, error, message):
    with pytest.raises(error, match=message):
        examine(models, split(), **options)


def test_label_maps_are_measured_where_they_have_a_label():
    images = IMAGES[:6]
    labels = np.where(images[..., 0] > 200, 255, images[..., 0] > 100).astype("int64")

    def model(images):
        scores = images[..., :1].astype("float64") / 40 - 2
        return np.concatenate([np.zeros_like(scores), scores], axis=-1)

    trials = Trials((), (), (), (), attacks=False, perturbations={"darker": lambda x: x // 2})
    found = examine(
        {"a": model},
        split(images, labels, 4),
        teacher="a",
        training=split(images, labels, 4),
        trials=trials,
        ignored=255,
    )["a"]
    logits, counted = model(images), labels != 255
    assert found.examples == 6
    assert sum(found.class_examples) == found.segmentation.pixels == counted.sum()
    assert found.segmentation == evaluate.segmentation_scores(logits, labels, 255)
    assert found.accuracy == evaluate.accuracy(logits[counted], labels[counted])
    assert found.accuracy == evaluate.accuracy(logits, labels, 255) == found.training.accuracy
    darker = evaluate.accuracy(model(images // 2), labels, 255)
    assert found.robustness.perturbed == {"darker": darker}
    assert Examination.from_dict(json.loads(json.dumps(found.to_dict()))) == found
