"""Neuron selectivity transfer: the MMD between channels."""

import numpy as np
import pytest

from kd_keras.losses import NeuronSelectivity
from kd_keras.losses.contract.vectors import l2_normalize
from kd_keras.losses.neuron_selectivity import _by_channels, _by_positions
from tests.losses.test_logit_losses import random_logits as random_maps


def numpy_mmd(teacher, student):
    """The squared MMD of one example by its definition, over all pairs of channels."""

    def patterns(maps):
        rows = np.asarray(maps, "float64").reshape(-1, maps.shape[-1]).T
        return [row / np.linalg.norm(row) for row in rows]

    def mean_kernel(first, second):
        return np.mean([(a @ b) ** 2 for a in first for b in second])

    t, s = patterns(teacher), patterns(student)
    return mean_kernel(t, t) + mean_kernel(s, s) - 2 * mean_kernel(t, s)


# Many positions and few channels are compared by channels, the other way round by positions.
@pytest.mark.parametrize("positions", [(4, 4), (2, 2), (5,)])
def test_values_are_those_of_the_definition(positions):
    teacher, student = random_maps(0, (3, *positions, 7)), random_maps(1, (3, *positions, 4))
    expected = [numpy_mmd(t, s) for t, s in zip(teacher, student, strict=True)]
    np.testing.assert_allclose(
        NeuronSelectivity().per_example(teacher, student), expected, rtol=1e-3, atol=1e-6
    )


def test_both_ways_to_compute_it_agree():
    teacher = l2_normalize(random_maps(0, (3, 6, 7)), axis=1)
    student = l2_normalize(random_maps(1, (3, 6, 4)), axis=1)
    np.testing.assert_allclose(
        _by_positions(teacher, student), _by_channels(teacher, student), atol=1e-6
    )


def test_scale_and_order_of_channels_and_the_order_of_positions_change_nothing():
    teacher, student = random_maps(0, (3, 4, 4, 6)), random_maps(1, (3, 4, 4, 5))
    loss = NeuronSelectivity()
    expected = loss.per_example(teacher, student)
    changed = student[..., ::-1] * np.array([1.0, -2.0, 0.1, 30.0, 5.0], "float32")
    np.testing.assert_allclose(loss.per_example(teacher, changed), expected, atol=1e-6)
    turned = [maps[:, ::-1].swapaxes(1, 2) for maps in (teacher, student)]
    np.testing.assert_allclose(loss.per_example(*turned), expected, atol=1e-6)
    twice = np.concatenate([teacher, 2 * teacher], axis=-1)
    np.testing.assert_allclose(loss.per_example(teacher, twice), np.zeros(3), atol=1e-6)
