"""Agreement and divergence of two models, by numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kd_keras.evaluate import agreement, kl_to_teacher
from kd_keras.losses import KLDivergence

LOGITS = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [-1.0, -2.0, -3.0], [0.0, 0.0, 9.0]])


def test_agreement_counts_equal_classes_right_or_wrong():
    other = np.array([[5.0, 0, 0], [1.0, 0, 0], [9.0, 0, 0], [0, 0, 1.0]])

    assert agreement(LOGITS, other) == 0.75
    assert agreement(LOGITS, 10 * LOGITS - 4) == 1.0


def test_divergence_of_known_probabilities():
    teacher = np.log([[0.8, 0.2], [0.5, 0.5]])
    student = np.log([[0.5, 0.5], [0.5, 0.5]])

    expected = (0.8 * math.log(1.6) + 0.2 * math.log(0.4)) / 2
    assert kl_to_teacher(teacher, student) == pytest.approx(expected, abs=1e-12)
    assert kl_to_teacher(student, teacher) != pytest.approx(expected)


def test_divergence_is_the_loss_at_temperature_one():
    random = np.random.default_rng(0)
    teacher, student = random.normal(size=(2, 32, 5)).astype("float32")

    loss = float(KLDivergence(temperature=1.0).compute_loss(teacher, student))
    assert kl_to_teacher(teacher, student) == pytest.approx(loss, abs=1e-6)


def test_a_shift_of_the_logits_changes_nothing():
    assert kl_to_teacher(LOGITS, LOGITS + 7) == pytest.approx(0, abs=1e-12)


def test_extremes_are_finite():
    assert kl_to_teacher([[1e4, -1e4]], [[0.0, 0.0]]) == pytest.approx(math.log(2))
    assert kl_to_teacher([[0.0, -np.inf]], [[0.0, 0.0]]) == pytest.approx(math.log(2))
    assert kl_to_teacher([[2.0]], [[2.0]]) == 0


def test_scores_of_different_examples_cannot_be_compared():
    with pytest.raises(ValueError, match=r"same shape.*\(4, 3\) and \(3, 3\)"):
        agreement(LOGITS, LOGITS[:3])
    with pytest.raises(ValueError, match="`logits_b` must not hold NaN"):
        agreement(LOGITS, np.full((4, 3), np.nan))
    with pytest.raises(ValueError, match="`student_logits` must be logits"):
        kl_to_teacher(LOGITS, np.full((4, 3), 1 / 3))
