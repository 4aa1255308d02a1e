import numpy as np
import pytest
import tensorflow as tf

from kd_keras.augment.draws import Draws, active_draws, drawing_from
from kd_keras.augment.rows import Rows, local_rows


def draws(count, key=(0,), step=0):
    return Draws(key, step, local_rows(tf.zeros((count, 1))))


@pytest.mark.parametrize("sample", ["uniform", "normal", "truncated_normal"])
def test_the_numbers_of_a_position_do_not_depend_on_the_batch(sample):
    whole = getattr(draws(9), sample)((9, 3)).numpy()
    np.testing.assert_array_equal(getattr(draws(4), sample)((4, 3)), whole[:4])
    later = Rows(tf.constant([5, 7]), tf.constant(8), tf.constant(9), leading=False)
    np.testing.assert_array_equal(getattr(Draws((0,), 0, later), sample)((2, 3)), whole[[5, 7]])


def test_key_step_and_count_each_give_other_numbers():
    same = draws(4)
    values = [
        same.uniform((4,)).numpy().tobytes(),
        same.uniform((4,)).numpy().tobytes(),
        draws(4, key=(1,)).uniform((4,)).numpy().tobytes(),
        draws(4, step=1).uniform((4,)).numpy().tobytes(),
        draws(4).child(0).uniform((4,)).numpy().tobytes(),
        draws(4).lap(tf.constant(0)).uniform((4,)).numpy().tobytes(),
        draws(4).lap(tf.constant(1)).uniform((4,)).numpy().tobytes(),
        draws(4).lap(tf.constant(1)).child(0).uniform((4,)).numpy().tobytes(),
        draws(4).lap(tf.constant(2)).child(0).uniform((4,)).numpy().tobytes(),
    ]
    assert len(set(values)) == 9
    assert draws(4).uniform((4,)).numpy().tobytes() == values[0]


def test_the_numbers_are_the_same_in_every_process():
    np.testing.assert_allclose(
        draws(2, key=(7, 1), step=3).uniform((2,)), [0.1312839, 0.0658332], rtol=1e-6
    )


def test_single_examples_draw_by_position():
    at = draws(3).one_by_one()
    scalars = [float(at(tf.constant(position)).uniform(())) for position in (0, 1, 2)]
    assert len(set(scalars)) == 3
    assert float(at(tf.constant(1)).uniform(())) == scalars[1]


def test_whole_numbers_are_below_the_upper_end():
    values = draws(5000).uniform((5000,), 2, 5, tf.int32).numpy()
    assert sorted(set(values)) == [2, 3, 4]
    assert np.bincount(values, minlength=5)[2:].min() > 1500


@pytest.mark.parametrize("alpha", [0.001, 0.2, 1.0, 4.0])
def test_beta_has_the_right_mean_and_variance_and_never_underflows(alpha):
    values = draws(20000).beta((20000,), alpha).numpy()
    assert np.isfinite(values).all()
    assert values.min() >= 0 and values.max() <= 1
    assert abs(values.mean() - 0.5) < 0.02
    assert abs(values.var() - 1 / (4 * (2 * alpha + 1))) < 0.005


@pytest.mark.parametrize("alpha", [0.01, 1.0, 4.0])
def test_dirichlet_has_the_right_mean_and_variance_and_sums_to_1(alpha):
    values = draws(20000).dirichlet((20000, 3), alpha).numpy()
    np.testing.assert_allclose(values.sum(axis=1), np.ones(20000), atol=1e-5)
    np.testing.assert_allclose(values.mean(axis=0), np.full(3, 1 / 3), atol=0.015)
    variance = (1 / 3) * (2 / 3) / (3 * alpha + 1)
    np.testing.assert_allclose(values.var(axis=0), np.full(3, variance), atol=0.005)
    # Exponentials of a batch cut short may differ in the last bits.
    np.testing.assert_allclose(draws(5).dirichlet((5, 3), alpha), values[:5], atol=1e-5)


def test_single_examples_of_two_laps_differ():
    values = [
        float(draws(3).lap(tf.constant(lap)).one_by_one()(tf.constant(1)).uniform(()))
        for lap in (0, 1)
    ]
    assert values[0] != values[1]


def test_a_draw_whose_first_axis_is_not_the_batch_is_refused():
    with pytest.raises(tf.errors.InvalidArgumentError):
        draws(4).uniform((3,))


def test_draws_are_active_inside_their_block_alone():
    outer, inner = draws(1), draws(1)
    with drawing_from(outer):
        with drawing_from(inner):
            assert active_draws() is inner
        assert active_draws() is outer
    assert active_draws() is None
