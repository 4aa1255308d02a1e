"""Cross-entropy and calibration error, by numbers worked out by hand."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest

from kd_keras.evaluate import (
    brier_score,
    cross_entropy,
    expected_calibration_error,
    fit_temperature,
    reliability,
)


def test_cross_entropy_of_known_probabilities():
    logits = np.log([[0.8, 0.2], [0.5, 0.5], [0.1, 0.9]])

    expected = -(math.log(0.8) + math.log(0.5) + math.log(0.1)) / 3
    assert cross_entropy(logits, [0, 1, 0]) == pytest.approx(expected, abs=1e-12)


def test_cross_entropy_equals_keras_and_is_stable_for_huge_logits():
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(64, 5)).astype("float32"), random.integers(0, 5, 64)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    assert cross_entropy(logits, labels) == pytest.approx(float(loss(labels, logits)), abs=1e-5)
    assert cross_entropy([[1000.0, 0.0]], [1]) == 1000.0
    assert cross_entropy([[1000.0, 0.0]], [0]) == 0.0


def test_cross_entropy_of_a_binary_logit():
    assert cross_entropy([[math.log(3)]], [1]) == pytest.approx(-math.log(0.75), abs=1e-12)


def test_calibration_error_of_four_predictions_in_two_bins():
    # Two of the ten bins hold something: 0.89 and 0.85 (one of them right), 0.59 and 0.55 (both).
    probabilities = np.array([0.89, 0.85, 0.59, 0.55])
    logits = np.log(np.stack([probabilities, 1 - probabilities], axis=1))

    got = expected_calibration_error(logits, [0, 1, 0, 0], bins=10)

    # |0.5 - 0.87| * 2/4 + |1 - 0.57| * 2/4
    assert got == pytest.approx(0.37 / 2 + 0.43 / 2, abs=1e-9)


def test_a_confidence_on_an_edge_is_in_the_bin_below():
    # Confidences 0.5 (wrong) and 0.75 (right): in one bin they would offset each other.
    logits = [[0.0, 0.0], [math.log(3), 0.0]]

    got = expected_calibration_error(logits, [1, 0], bins=2)

    assert got == pytest.approx(0.5 / 2 + 0.25 / 2)


def test_a_single_bin_compares_mean_confidence_with_accuracy():
    probabilities = np.array([0.9, 0.6])
    logits = np.log(np.stack([probabilities, 1 - probabilities], axis=1))

    assert expected_calibration_error(logits, [0, 1], bins=1) == pytest.approx(0.25)


def test_certainty_is_calibrated_when_right_and_worst_when_wrong():
    logits = [[1000.0, 0.0], [0.0, 1000.0]]

    assert expected_calibration_error(logits, [0, 1]) == 0.0
    assert expected_calibration_error(logits, [1, 0]) == 1.0


@pytest.mark.parametrize("measure", [cross_entropy, expected_calibration_error, reliability])
def test_probabilities_are_refused_with_the_remedy(measure):
    probabilities = np.array([[0.8, 0.2], [0.4, 0.6]])

    with pytest.raises(ValueError, match=r"as the output of a softmax.*np\.log"):
        measure(probabilities, [0, 1])
    measure(np.log(np.maximum(probabilities, 1e-7)), [0, 1])


@pytest.mark.parametrize("bins", [0, -3, 2.5, True])
def test_bins_out_of_range_are_refused(bins):
    with pytest.raises(ValueError, match="`bins` must be an integer >= 1"):
        expected_calibration_error([[1.0, 0.0]], [0], bins=bins)


def test_brier_score_of_known_probabilities():
    logits = np.log([[0.8, 0.2], [0.5, 0.5]])

    assert brier_score(logits, [0, 1]) == pytest.approx((2 * 0.2**2 + 2 * 0.5**2) / 2, abs=1e-12)
    assert brier_score([[1e4, -1e4]], [0]) == 0
    assert brier_score([[1e4, -1e4]], [1]) == 2


def test_reliability_of_four_predictions_in_two_bins():
    probabilities = np.array([0.9, 0.8, 0.6, 0.55])
    logits = np.log(np.stack([probabilities, 1 - probabilities], axis=1))

    got = reliability(logits, [0, 1, 0, 0], bins=4)

    assert got.examples == (0, 0, 2, 2)
    assert got.accuracy == (None, None, 1.0, 0.5)
    assert got.confidence[:2] == (None, None)
    assert got.confidence[2:] == pytest.approx((0.575, 0.85))


def test_the_calibration_error_is_that_of_the_diagram():
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(200, 5)) * 2, random.integers(0, 5, 200)

    bins = reliability(logits, labels)

    pairs = zip(bins.examples, bins.confidence, bins.accuracy, strict=True)
    gaps = [n / 200 * abs(share - sure) for n, sure, share in pairs if n]
    assert len(gaps) > 3
    assert expected_calibration_error(logits, labels) == pytest.approx(sum(gaps))


@pytest.mark.parametrize("right", [0.6, 0.75, 0.95])
def test_the_temperature_makes_confidence_the_share_of_right_answers(right):
    labels = np.where(np.arange(100) < 100 * right, 0, 1)
    logits = np.tile([3.0, 0.0], (100, 1))
    # sigmoid(3 / T) = right
    expected = 3.0 / math.log(right / (1 - right))
    temperature = fit_temperature(logits, labels)
    assert temperature == pytest.approx(expected, rel=1e-4)
    assert expected_calibration_error(logits / temperature, labels) < 1e-4


def test_a_scaled_model_has_a_scaled_temperature():
    random = np.random.default_rng(3)
    logits, labels = random.normal(size=(400, 5)), random.integers(0, 5, 400)
    logits[np.arange(400), labels] += 1.0
    one = fit_temperature(logits, labels)
    assert fit_temperature(4.0 * logits, np.eye(5)[labels]) == pytest.approx(4 * one, rel=1e-4)
    # No neighbour fits better.
    best = cross_entropy(logits / one, labels)
    assert all(cross_entropy(logits / (one * f), labels) > best for f in (0.98, 1.02))


def test_the_temperature_stays_in_its_bounds():
    assert fit_temperature([[5.0, 0.0], [0.0, 5.0]], [0, 1]) == pytest.approx(0.01, rel=1e-3)
    assert fit_temperature([[5.0, 0.0], [0.0, 5.0]], [1, 0]) == pytest.approx(100.0, rel=1e-3)
    assert 0.01 <= fit_temperature([[1e4, 0.0]] * 3, [0, 0, 1]) <= 100.0


def test_the_temperature_of_a_binary_logit():
    logits = [[2.0]] * 4
    assert fit_temperature(logits, [1, 1, 1, 0]) == pytest.approx(2 / math.log(3), rel=1e-4)
    with pytest.raises(ValueError, match="must be logits"):
        fit_temperature([[0.5, 0.5], [0.9, 0.1]], [0, 1])
