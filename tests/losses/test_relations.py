"""Similarity preserving, probabilistic transfer and correlation congruence, and what they share."""

import numpy as np
import pytest
import tensorflow as tf

from kd_keras.losses import (
    CorrelationCongruence,
    ProbabilisticTransfer,
    RelationalKD,
    SimilarityPreserving,
)
from tests.losses.test_logit_losses import random_logits as random_vectors

FREE_WIDTH = [SimilarityPreserving(), ProbabilisticTransfer(), RelationalKD()]
ALL = [*FREE_WIDTH, CorrelationCongruence()]


def name(loss):
    return type(loss).__name__


def numpy_similarities(vectors):
    gram = np.asarray(vectors, "float64") @ np.asarray(vectors, "float64").T
    return gram / np.linalg.norm(gram, axis=1, keepdims=True)


def numpy_neighbourhoods(vectors):
    vectors = np.asarray(vectors, "float64")
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    kernel = (unit @ unit.T + 1) / 2
    return kernel / kernel.sum(1, keepdims=True)


def test_similarity_preserving():
    teacher, student = random_vectors(0, (6, 5)), random_vectors(1, (6, 3))
    squared = (numpy_similarities(teacher) - numpy_similarities(student)) ** 2
    values = SimilarityPreserving().per_example(teacher, student)
    np.testing.assert_allclose(values, squared.sum(1) / 6, rtol=1e-4)
    loss = SimilarityPreserving().compute_loss(teacher, student)
    assert float(loss) == pytest.approx(squared.sum() / 6**2, rel=1e-4)


def test_probabilistic_transfer():
    teacher, student = random_vectors(0, (6, 5)), random_vectors(1, (6, 3))
    p, q = numpy_neighbourhoods(teacher), numpy_neighbourhoods(student)
    terms = p * np.log((p + 1e-7) / (q + 1e-7))
    values = ProbabilisticTransfer().per_example(teacher, student)
    np.testing.assert_allclose(values, terms.mean(1), rtol=1e-3, atol=1e-7)
    loss = ProbabilisticTransfer().compute_loss(teacher, student)
    assert float(loss) == pytest.approx(terms.mean(), rel=1e-3)


def test_opposite_vectors_stay_finite_in_probabilistic_transfer():
    vector = random_vectors(0, (1, 1001))
    student = tf.Variable(np.concatenate([vector, -vector, vector]))
    with tf.GradientTape() as tape:
        value = ProbabilisticTransfer().compute_loss(random_vectors(1, (3, 4)), student)
    assert np.isfinite(value)
    assert np.isfinite(tape.gradient(value, student)).all()


def test_correlation_congruence():
    teacher, student = random_vectors(0, (6, 5)), random_vectors(1, (6, 5))
    distance = np.abs(teacher - student)
    pairs = np.array([distance[i] @ distance[i + 1] for i in range(5)])
    values = CorrelationCongruence().per_example(teacher, student)
    np.testing.assert_allclose(values, [*(pairs * 6 / 5), 0.0], rtol=1e-5)
    loss = CorrelationCongruence().compute_loss(teacher, student)
    assert float(loss) == pytest.approx(pairs.mean(), rel=1e-5)


def test_correlation_congruence_needs_one_width():
    with pytest.raises(ValueError, match=r"one shape.*\(4, 5\).*\(4, 3\).*SimilarityPreserving"):
        CorrelationCongruence().compute_loss(np.zeros((4, 5)), np.zeros((4, 3)))


@pytest.mark.parametrize("loss", ALL, ids=name)
def test_features_of_any_rank_are_vectors(loss):
    teacher, student = random_vectors(0, (4, 2, 3, 2)), random_vectors(1, (4, 2, 3, 2))
    np.testing.assert_allclose(
        loss.per_example(teacher, student),
        loss.per_example(teacher.reshape(4, -1), student.reshape(4, -1)),
        rtol=1e-6,
    )


@pytest.mark.parametrize("loss", FREE_WIDTH, ids=name)
def test_rotations_and_scale_of_either_space_change_nothing(loss):
    teacher, student = random_vectors(0, (6, 5)), random_vectors(1, (6, 3))
    rotations = [np.linalg.qr(random_vectors(2, (n, n)))[0] for n in (5, 3)]
    expected = loss.per_example(teacher, student)
    moved = loss.per_example(4 * teacher @ rotations[0], 0.1 * student @ rotations[1])
    np.testing.assert_allclose(moved, expected, rtol=1e-3, atol=1e-6)
    wider = np.concatenate([teacher @ rotations[0], np.zeros((6, 4))], axis=1)
    np.testing.assert_allclose(loss.per_example(teacher, wider), np.zeros(6), atol=1e-6)


def test_a_shift_of_either_space_changes_nothing_in_relational_kd():
    teacher, student = random_vectors(0, (6, 5)), random_vectors(1, (6, 3))
    np.testing.assert_allclose(
        RelationalKD().per_example(teacher + 100, student - 30),
        RelationalKD().per_example(teacher, student),
        rtol=1e-3,
    )


@pytest.mark.parametrize("loss", FREE_WIDTH, ids=name)
def test_the_order_of_the_examples_is_the_order_of_the_values(loss):
    teacher, student = random_vectors(0, (6, 5)), random_vectors(1, (6, 3))
    order = np.array([3, 1, 5, 0, 4, 2])
    np.testing.assert_allclose(
        loss.per_example(teacher[order], student[order]),
        np.array(loss.per_example(teacher, student))[order],
        rtol=1e-3,
    )


@pytest.mark.parametrize("loss", ALL, ids=name)
def test_masked_positions_are_zeros(loss):
    teacher, student = random_vectors(0, (4, 3, 2)), random_vectors(1, (4, 3, 2))
    mask = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 1, 0]], "bool")
    zeroed = [np.where(mask[..., None], vectors, 0.0) for vectors in (teacher, student)]
    student[~mask] = np.nan
    masked = tf.constant(student)
    masked._keras_mask = tf.constant(mask)
    np.testing.assert_allclose(
        loss.per_example(teacher, masked), loss.per_example(*zeroed), rtol=1e-6
    )
