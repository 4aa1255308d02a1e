"""Means, interactions and their intervals."""

import numpy as np
import pytest

from kd_keras.experiments.study import hierarchical_bootstrap, interaction
from kd_keras.experiments.study.statistics import mean_and_deviation


def test_the_interaction_by_hand():
    # Alone: distillation +2, augmentation +3. Together: +9, so 4 beyond the sum.
    assert interaction(np.array(79.0), 72.0, 73.0, 70.0) == 4.0
    assert interaction(np.array(75.0), 72.0, 73.0, 70.0) == 0.0


def test_the_mean_is_exact_and_lies_inside():
    values = np.random.default_rng(0).random((4, 50))
    estimate = hierarchical_bootstrap(values)
    assert estimate.mean == pytest.approx(values.mean())
    assert estimate.low < estimate.mean < estimate.high
    assert estimate.seeds == 4


def test_constant_values_have_no_spread():
    estimate = hierarchical_bootstrap(np.full((3, 7), 0.25))
    assert estimate.low == pytest.approx(0.25) and estimate.high == pytest.approx(0.25)


def test_a_single_seed_gives_the_usual_interval_of_a_proportion():
    values = np.zeros((1, 1000))
    values[0, :300] = 1
    estimate = hierarchical_bootstrap(values, replicates=2000)
    half = 1.96 * np.sqrt(0.3 * 0.7 / 1000)
    assert estimate.low == pytest.approx(0.3 - half, abs=0.005)
    assert estimate.high == pytest.approx(0.3 + half, abs=0.005)


def test_spread_between_seeds_widens_the_interval_as_it_should():
    # Seeds differ, examples do not: the interval is that of a mean over seeds alone.
    values = np.repeat(np.array([[0.0], [1.0], [2.0], [3.0]]), 500, axis=1)
    estimate = hierarchical_bootstrap(values, replicates=2000)
    deviation = values[:, 0].std(ddof=0) / np.sqrt(4)
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * deviation, rel=0.1)


def test_the_same_examples_are_drawn_for_all_seeds():
    # All seeds are right on the same half of the images: more seeds must not narrow the interval.
    one = np.tile(np.arange(200) % 2, (1, 1)).astype(float)
    many = np.tile(one, (20, 1))
    narrow, wide = hierarchical_bootstrap(many), hierarchical_bootstrap(one)
    assert narrow.high - narrow.low == pytest.approx(wide.high - wide.low, rel=0.1)


def test_coverage_of_the_interval_over_images():
    """Of 95 % intervals for a known proportion, about 95 % hold it."""
    random = np.random.default_rng(1)
    held = 0
    for trial in range(100):
        estimate = hierarchical_bootstrap(
            (random.random((1, 200)) < 0.7).astype(float), replicates=200, seed=trial
        )
        held += estimate.low <= 0.7 <= estimate.high
    assert 88 <= held <= 99


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).random((3, 20))
    assert hierarchical_bootstrap(values, seed=5) == hierarchical_bootstrap(values, seed=5)
    assert hierarchical_bootstrap(values, seed=5) != hierarchical_bootstrap(values, seed=6)


@pytest.mark.parametrize(
    ("values", "options", "words"),
    [
        (np.zeros(3), {}, "shape"),
        (np.zeros((0, 3)), {}, "shape"),
        (np.array([[np.nan]]), {}, "finite"),
        (np.zeros((1, 2)), {"replicates": 10}, "replicates"),
        (np.zeros((1, 2)), {"level": 1.0}, "level"),
    ],
)
def test_bad_values_are_refused(values, options, words):
    with pytest.raises(ValueError, match=words):
        hierarchical_bootstrap(values, **options)


def test_the_deviation_is_the_samples():
    assert mean_and_deviation([1.0, 3.0]) == (2.0, pytest.approx(np.sqrt(2)))
    assert mean_and_deviation([1.0]) == (1.0, None)
