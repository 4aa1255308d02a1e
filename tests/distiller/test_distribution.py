"""Two replicas equal one device where mathematics says so.

Logical devices must be set up before TensorFlow starts, so the runs happen in one process of their
own, which prints its results as JSON.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from tests import processes

# The process takes minutes where others run beside it.
pytestmark = pytest.mark.slow

WORKER = Path(__file__).with_name("distribution_worker.py")


@pytest.fixture(scope="module")
def results():
    return json.loads(processes.run(WORKER).splitlines()[-1])


def compare(one, two, rtol=1e-4):
    assert set(one["history"]) == set(two["history"])
    for name, values in one["history"].items():
        np.testing.assert_allclose(values, two["history"][name], rtol=rtol, err_msg=name)
    for name, value in one["evaluation"].items():
        # A divergence near 0 is a difference of numbers near 1, in float32.
        assert value == pytest.approx(two["evaluation"][name], rel=rtol, abs=1e-6), name
    for a, b in zip(one["weights"], two["weights"], strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6)
    assert one["step"] == two["step"]


@pytest.mark.parametrize("case", ["plain", "synchronized"])
def test_two_replicas_equal_one_device(results, case):
    """Losses, logs, regularisers, sample weights and weights.

    With losses that return only a scalar and count once, whatever is inside them: those of Keras,
    a subclass, one that sums, and one with an averaging Keras loss and weights.
    """
    compare(results[case]["one"], results[case]["two"])


@pytest.mark.parametrize("case", ["steps", "xla"])
def test_two_replicas_with_several_steps_in_one_execution_or_xla_equal_one_device(results, case):
    """One device that does neither; what either changes there, other tests say."""
    compare(results["plain"]["one"], results[case]["two"])


def test_a_replica_without_examples_spoils_nothing(results):
    assert results["few"]["finite"]
    assert results["few"]["step"] == 2


def test_per_replica_batch_norm_differs_which_shows_that_the_comparison_can_fail(results):
    # On one device there is nothing to synchronize.
    with pytest.raises(AssertionError):
        compare(results["synchronized"]["one"], results["batch_norm"]["two"])


def test_the_guard_stops_both_replicas_with_good_weights(results):
    assert results["nan"]["error"] == "NonFiniteLossError"
    assert results["nan"]["finite"]


def test_views_and_mixing_do_not_depend_on_the_replica(results):
    compare(results["mixing"]["one"], results["mixing"]["two"])


@pytest.mark.parametrize("case", ["pick", "feedback"])
def test_what_the_teacher_picks_and_what_feedback_learns_do_not_depend_on_the_replica(
    results, case
):
    """The logs hold the probabilities that Feedback had in each epoch."""
    compare(results[case]["one"], results[case]["two"])


@pytest.mark.parametrize("case", ["ensemble", "named", "learning_xla"])
def test_several_teachers_and_one_that_moves_do_not_depend_on_the_replica(results, case):
    compare(results[case]["one"], results[case]["two"])


def test_named_teachers_on_two_replicas_with_xla_equal_one_device(results):
    compare(results["named"]["one"], results["named_xla"]["two"])
