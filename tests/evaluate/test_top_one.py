"""Accuracy, by numbers counted by hand."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras.evaluate import accuracy

LOGITS = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [-1.0, -2.0, -3.0], [0.0, 0.0, 9.0]])
LABELS = np.array([0, 1, 2, 2])


@pytest.mark.parametrize(
    "labels",
    [
        LABELS,
        LABELS[:, None],
        LABELS.astype("float32"),
        LABELS.tolist(),
        np.eye(3)[LABELS],
        np.eye(3)[LABELS] * 0.7 + 0.1,
        tf.constant(LABELS),
        tf.one_hot(LABELS, 3),
    ],
)
def test_accuracy_of_three_right_of_four_in_every_form_of_labels(labels):
    assert accuracy(LOGITS, labels) == 0.75


def test_accuracy_equals_keras_on_random_numbers():
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(500, 7)), random.integers(0, 7, 500)
    metric = keras.metrics.SparseCategoricalAccuracy()
    metric.update_state(labels, logits)

    assert accuracy(logits, labels) == pytest.approx(float(metric.result()), abs=1e-6)


def test_one_column_is_the_logit_of_a_binary_class():
    assert accuracy([[2.0], [-1.0], [3.0], [-0.5]], [1, 0, 0, 1]) == 0.5
    assert accuracy([[2.0], [-1.0]], [[1], [0]]) == 1.0


def test_dense_outputs_count_every_position():
    logits = np.zeros((1, 2, 2, 3))
    logits[..., 1] = 1

    assert accuracy(logits, [[[1, 1], [1, 0]]]) == 0.75
    assert accuracy(logits, np.array([1, 1, 1, 0]).reshape(1, 2, 2, 1)) == 0.75


def test_half_precision_scores_are_taken():
    assert accuracy(tf.cast(LOGITS, tf.bfloat16).numpy(), LABELS) == 0.75


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (LOGITS, [0, 1, 2], r"class ids of shape \(4,\).*one-hot.*\(4, 3\).*shape \(3,\)"),
        (LOGITS, [0, 1, 2, 3], "from 0 to 2.*ids from 0 to 3"),
        (LOGITS, [0, 1, 2, -1], "from 0 to 2.*ids from -1 to 2"),
        (LOGITS, [0.5, 1, 2, 0], "whole numbers"),
        (LOGITS, np.ones((4, 3)), "sum to 1. Received: rows that sum to 3"),
        (LOGITS[:0], LABELS[:0], r"at least one example.*\(0, 3\)"),
        (LOGITS[0], [0, 1, 2], r"\(examples, classes\).*shape \(3,\)"),
        (np.where(LOGITS == 9, np.nan, LOGITS), LABELS, "NaN or \\+inf.*1 NaN of 12"),
        ([["a", "b"]], [0], "real numbers"),
    ],
)
def test_what_cannot_be_measured_is_refused(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        accuracy(logits, labels)
