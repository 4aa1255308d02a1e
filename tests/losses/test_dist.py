"""DIST: correlations by row and by column, what is constant, masks and weights."""

import numpy as np
import pytest
import tensorflow as tf

from kd_keras.losses import DIST, dist
from tests.losses.test_logit_losses import numpy_softmax, random_logits


def numpy_correlations(p, q):
    """Pearson's correlation of each pair of rows, with the reference's 1e-8."""
    p, q = p - p.mean(1, keepdims=True), q - q.mean(1, keepdims=True)
    norms = np.sqrt((p**2).sum(1)) * np.sqrt((q**2).sum(1))
    return (p * q).sum(1) / (norms + 1e-8)


def numpy_dist(teacher, student, temperature, beta, gamma):
    p = numpy_softmax(np.asarray(teacher, "float64") / temperature)
    q = numpy_softmax(np.asarray(student, "float64") / temperature)
    columns = (1 - numpy_correlations(p.T, q.T)).mean()
    return temperature**2 * (beta * (1 - numpy_correlations(p, q)) + gamma * columns)


@pytest.mark.parametrize("arguments", [(1.0, 1.0, 1.0), (4.0, 2.0, 2.0), (4.0, 0.0, 1.5)])
def test_values_are_those_of_an_independent_computation(arguments):
    teacher, student = random_logits(0), random_logits(1)
    np.testing.assert_allclose(
        DIST(*arguments).per_example(teacher, student),
        numpy_dist(teacher, student, *arguments),
        rtol=1e-4,
    )


def test_the_correlations_are_those_of_numpy():
    teacher, student = random_logits(0), random_logits(1)
    p, q = numpy_softmax(teacher), numpy_softmax(student)
    rows = [1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p, q, strict=True)]
    np.testing.assert_allclose(DIST(gamma=0.0).per_example(teacher, student), rows, rtol=1e-4)
    columns = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p.T, q.T, strict=True)])
    values = DIST(beta=0.0).per_example(teacher, student)
    np.testing.assert_allclose(values, np.full(5, columns), rtol=1e-4)


def test_it_is_invariant_to_what_scales_the_probabilities():
    """Half of the student's probability mass spread evenly: q' = q / 2 + 1 / (2 classes)."""
    teacher, student = random_logits(0), random_logits(1)
    flatter = np.log(numpy_softmax(student) / 2 + 0.5 / 7)
    np.testing.assert_allclose(
        DIST().per_example(teacher, flatter), DIST().per_example(teacher, student), rtol=1e-3
    )


@pytest.mark.parametrize("batch", [1, 3])
def test_a_constant_student_has_no_correlation_and_no_gradient(batch):
    teacher, student = random_logits(0, (batch, 10)), tf.Variable(tf.fill((batch, 10), 0.3))
    with tf.GradientTape() as tape:
        value = DIST(2.0, 1.0, 3.0).compute_loss(teacher, student)
    assert float(value) == pytest.approx(4 * (1 + 3), rel=1e-6)
    np.testing.assert_array_equal(tape.gradient(value, student), np.zeros((batch, 10)))


def test_a_batch_of_one_has_a_column_term_that_teaches_nothing():
    teacher, student = random_logits(0, (1, 5)), tf.Variable(random_logits(1, (1, 5)))
    with tf.GradientTape() as tape:
        both = DIST(1.0, 1.0, 1.0).compute_loss(teacher, student)
    with tf.GradientTape() as rows_tape:
        rows = DIST(1.0, 1.0, 0.0).compute_loss(teacher, student)
    assert float(both) == pytest.approx(float(rows) + 1, rel=1e-6)
    np.testing.assert_array_equal(tape.gradient(both, student), rows_tape.gradient(rows, student))


def test_dense_outputs_are_rows_of_all_examples_and_masked_ones_are_left_out():
    teacher, student = random_logits(0, (2, 3, 4)), random_logits(1, (2, 3, 4))
    flat = numpy_dist(teacher.reshape(6, 4), student.reshape(6, 4), 1.0, 1.0, 1.0).reshape(2, 3)
    np.testing.assert_allclose(DIST().per_example(teacher, student), flat.mean(1), rtol=1e-4)

    mask = np.array([[True, True, False], [True, False, True]])
    valid = numpy_dist(teacher[mask], student[mask], 1.0, 1.0, 1.0)
    student[~mask] = np.nan
    variable = tf.Variable(student)
    with tf.GradientTape() as tape:
        masked = tf.identity(variable)
        masked._keras_mask = tf.constant(mask)
        value = DIST().compute_loss(teacher, masked)
    assert float(value) == pytest.approx(valid.mean(), rel=1e-4)
    gradient = tape.gradient(value, variable).numpy()
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[~mask], 0.0)
    masked._keras_mask = tf.zeros((2, 3), "bool")
    assert float(DIST().compute_loss(teacher, masked)) == 0.0


def test_weights_multiply_rows_and_the_column_term():
    teacher, student = random_logits(0), random_logits(1)
    weight = np.array([1.0, 0.0, 2.0, 0.5, 3.0])
    np.testing.assert_allclose(
        DIST().per_example(teacher, student, sample_weight=weight),
        np.array(DIST().per_example(teacher, student)) * weight,
        rtol=1e-6,
    )


def test_one_logit_is_a_binary_class_that_the_columns_teach():
    teacher, student = random_logits(0, (5, 1)), random_logits(1, (5, 1))
    two = [np.concatenate([z, np.zeros_like(z)], -1) for z in (teacher, student)]
    np.testing.assert_allclose(
        DIST().per_example(teacher, student), DIST().per_example(*two), rtol=1e-6
    )


@pytest.mark.parametrize("name", ["beta", "gamma"])
def test_weights_out_of_range_are_refused(name):
    with pytest.raises(ValueError, match=rf"`{name}` must be a finite number >= 0.*-1"):
        DIST(**{name: -1})


def test_the_hyper_parameters_may_be_tensors():
    teacher, student = random_logits(0), random_logits(1)
    numbers = dist(teacher, student, 4.0, 2.0, 3.0)
    tensors = dist(teacher, student, *map(tf.constant, (4.0, 2.0, 3.0)))
    np.testing.assert_allclose(tensors, numbers, rtol=1e-6)
