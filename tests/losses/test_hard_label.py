"""Cross-entropy with the teacher's arg-max."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras.losses import HardLabel, hard_label
from tests.losses.test_logit_losses import random_logits


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("shape", [(5, 7), (2, 3, 4)])
def test_it_is_the_crossentropy_of_keras_with_the_class_that_the_teacher_picks(share, shape):
    teacher, student = random_logits(0, shape), random_logits(1, shape)
    labels = np.eye(shape[-1])[teacher.argmax(-1)]
    reference = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=share)
    assert float(HardLabel(share).compute_loss(teacher, student)) == pytest.approx(
        float(reference(labels, student)), rel=1e-5
    )


def test_only_the_teachers_arg_max_matters():
    teacher, student = random_logits(0), random_logits(1)
    np.testing.assert_array_equal(
        HardLabel(0.1).per_example(teacher, student),
        HardLabel(0.1).per_example(teacher**3, student),
    )


def test_one_logit_is_a_binary_class():
    teacher, student = np.array([[2.0], [-2.0]], "float32"), np.array([[0.5], [0.5]], "float32")
    # -log sigmoid(1/2) where the teacher says yes, -log(1 - sigmoid(1/2)) where it says no.
    expected = [np.log1p(np.exp(-0.5)), np.log1p(np.exp(0.5))]
    np.testing.assert_allclose(HardLabel().per_example(teacher, student), expected, rtol=1e-6)


def test_a_class_that_both_mask_counts_nothing():
    teacher = np.array([[1.0, 2.0, -np.inf]], "float32")
    student = tf.Variable([[0.5, 0.0, -np.inf]])
    with tf.GradientTape() as tape:
        value = HardLabel().compute_loss(teacher, student)
    assert float(value) == pytest.approx(np.log1p(np.exp(0.5)), rel=1e-6)
    assert np.isfinite(tape.gradient(value, student)).all()


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan"), "0.1", True, None])
def test_a_label_smoothing_out_of_range_is_refused(share):
    with pytest.raises(
        ValueError, match=r"`label_smoothing` must be .* number in \[0, 1\).*Received"
    ):
        HardLabel(share)


def test_the_label_smoothing_may_be_a_tensor():
    teacher, student = random_logits(0), random_logits(1)
    np.testing.assert_allclose(
        hard_label(teacher, student, tf.constant(0.1)), hard_label(teacher, student, 0.1), rtol=1e-6
    )
