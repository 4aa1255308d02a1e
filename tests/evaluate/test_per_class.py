"""Confusion matrix, precision and recall, by counts made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kd_keras.evaluate import accuracy, class_scores, confusion_matrix

LABELS = np.array([0, 0, 0, 1, 1, 3])
LOGITS = np.eye(4)[[0, 0, 1, 1, 0, 3]] * 5 - 1


def test_rows_are_labels_and_columns_what_they_were_given():
    expected = [[2, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    matrix = confusion_matrix(LOGITS, LABELS)

    np.testing.assert_array_equal(matrix, expected)
    assert np.trace(matrix) / matrix.sum() == accuracy(LOGITS, LABELS)


@pytest.mark.parametrize("labels", [LABELS, LABELS[:, None], np.eye(4)[LABELS]])
def test_precision_and_recall_of_each_class(labels):
    scores = class_scores(LOGITS, labels)

    np.testing.assert_allclose(scores.precision, [2 / 3, 1 / 2, np.nan, 1])
    np.testing.assert_allclose(scores.recall, [2 / 3, 1 / 2, np.nan, 1])
    np.testing.assert_array_equal(scores.examples, [3, 2, 0, 1])


def test_precision_and_recall_differ_where_errors_go_one_way():
    scores = class_scores([[1.0, 0], [1.0, 0], [1.0, 0], [0, 1.0]], [0, 1, 1, 1])

    np.testing.assert_allclose(scores.precision, [1 / 3, 1])
    np.testing.assert_allclose(scores.recall, [1, 1 / 3])


def test_dense_outputs_count_every_position():
    logits = np.zeros((1, 2, 2, 3))
    logits[..., 1] = 1

    np.testing.assert_array_equal(
        confusion_matrix(logits, [[[1, 1], [1, 0]]]), [[0, 1, 0], [0, 3, 0], [0, 0, 0]]
    )


def test_labels_out_of_range_are_refused():
    with pytest.raises(ValueError, match="from 0 to 3"):
        confusion_matrix(LOGITS, LABELS + 1)
