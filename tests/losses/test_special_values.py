"""The logit losses on masked classes, on NaN and on no examples at all."""

import numpy as np
import pytest
import tensorflow as tf

from kd_keras.losses import KLDivergence, SoftCrossentropy
from tests.losses.test_logit_losses import STUDENT, TEACHER, random_logits

SOFT = [KLDivergence(2.0), SoftCrossentropy(2.0)]


def name(loss):
    return type(loss).__name__


@pytest.mark.parametrize("loss", SOFT, ids=name)
def test_a_class_that_both_mask_counts_nothing(loss):
    teacher, student = random_logits(0), random_logits(1)
    masks = [np.full((5, 1), -np.inf, "float32")] * 2
    masked = [np.concatenate(pair, axis=-1) for pair in zip((teacher, student), masks, strict=True)]
    variable = tf.Variable(masked[1])
    with tf.GradientTape() as tape:
        value = loss.compute_loss(masked[0], variable)
    assert float(value) == pytest.approx(float(loss.compute_loss(teacher, student)), rel=1e-5)
    gradient = tape.gradient(value, variable).numpy()
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[:, -1], 0.0)
    assert np.any(gradient)


@pytest.mark.parametrize("loss", SOFT, ids=name)
def test_nan_is_not_taken_for_a_masked_class(loss):
    for arguments in ((np.nan * TEACHER, STUDENT), (TEACHER, np.nan * STUDENT)):
        assert np.isnan(float(loss.compute_loss(*arguments)))
