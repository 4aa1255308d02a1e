"""The KL divergence of standardised logits."""

import numpy as np
import pytest
import tensorflow as tf

from kd_keras.losses import StandardizedKL, standardized_kl
from tests.losses.test_logit_losses import numpy_softmax, random_logits


def numpy_standardized_kl(teacher, student, temperature):
    p, q = (
        numpy_softmax(
            (z - z.mean(-1, keepdims=True))
            / (z.std(-1, ddof=1, keepdims=True) + 1e-7)
            / temperature
        )
        for z in (np.asarray(teacher, "float64"), np.asarray(student, "float64"))
    )
    return temperature**2 * (p * np.log(p / q)).sum(-1)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("shape", [(5, 7), (2, 3, 4)])
def test_values_are_those_of_an_independent_computation(temperature, shape):
    teacher, student = random_logits(0, shape), random_logits(1, shape)
    expected = numpy_standardized_kl(teacher, student, temperature).reshape(shape[0], -1).mean(-1)
    loss = StandardizedKL(temperature)
    np.testing.assert_allclose(loss.per_example(teacher, student), expected, rtol=1e-4)


def test_it_is_invariant_to_scale_and_shift_of_either_net():
    teacher, student = random_logits(0), random_logits(1)
    np.testing.assert_allclose(
        StandardizedKL().per_example(0.1 * teacher - 3, 20 * student + 5),
        StandardizedKL().per_example(teacher, student),
        rtol=1e-3,
    )


@pytest.mark.parametrize("constant", [0.0, 0.3, -1e4])
def test_a_constant_student_is_taken_for_undecided_and_gets_no_gradient(constant):
    teacher, student = random_logits(0), tf.Variable(tf.fill((5, 7), constant))
    with tf.GradientTape() as tape:
        values = StandardizedKL().per_example(teacher, student)
    np.testing.assert_allclose(
        values, numpy_standardized_kl(teacher, np.zeros((5, 7)), 2.0), rtol=1e-4
    )
    np.testing.assert_array_equal(tape.gradient(values, student), np.zeros((5, 7)))


@pytest.mark.parametrize("classes", [1, 2])
def test_fewer_than_three_classes_are_refused(classes):
    with pytest.raises(ValueError, match="three classes or more.*Use kd_keras.losses.KLDivergence"):
        StandardizedKL().compute_loss(np.zeros((4, classes)), np.zeros((4, classes)))


def test_the_temperature_may_be_a_tensor():
    teacher, student = random_logits(0), random_logits(1)
    np.testing.assert_allclose(
        standardized_kl(teacher, student, tf.constant(2.0)),
        standardized_kl(teacher, student, 2.0),
        rtol=1e-6,
    )
