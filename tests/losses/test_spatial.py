"""Feature maps brought to one size, as PyTorch's adaptive pooling and nearest resizing do it."""

import numpy as np
import pytest

from kd_keras.losses.contract.spatial import average_pool_to, nearest_to, same_size, smaller_sizes


def numpy_pool(features, size):
    """Adaptive average pooling of the first axis of positions, position by position."""
    n = features.shape[1]
    windows = [(i * n // size, -(-(i + 1) * n // size)) for i in range(size)]
    return np.stack([features[:, a:b].mean(1) for a, b in windows], axis=1)


@pytest.mark.parametrize(("n", "size"), [(8, 4), (7, 3), (5, 5), (2, 3), (6, 1)])
def test_pooling_averages_windows(n, size):
    features = np.random.default_rng(0).normal(size=(2, n, 3, 4)).astype("float32")
    pooled = average_pool_to(features, [size, None])
    np.testing.assert_allclose(pooled, numpy_pool(features, size), rtol=1e-5, atol=1e-6)


def test_both_axes_are_pooled_and_constant_maps_stay():
    features = np.arange(16.0, dtype="float32").reshape(1, 4, 4, 1)
    pooled = np.array(average_pool_to(features, [2, 2])).reshape(2, 2)
    np.testing.assert_allclose(pooled, [[2.5, 4.5], [10.5, 12.5]])
    np.testing.assert_allclose(average_pool_to(np.ones((1, 7, 5, 2)), [3, 2]), 1.0, rtol=1e-6)


def test_nearest_repeats_and_drops_positions():
    row = np.array([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)
    assert np.array(nearest_to(row, [6, 1])).ravel().tolist() == [1, 1, 2, 2, 3, 3]
    assert np.array(nearest_to(row, [2, 2]))[0, :, :, 0].tolist() == [[1, 1], [2, 2]]
    assert np.array(nearest_to(row, [5, 1])).ravel().tolist() == [1, 1, 2, 2, 3]


def test_the_bigger_side_is_pooled_on_each_axis():
    teacher, student = same_size(np.ones((2, 8, 2, 3), "float32"), np.ones((2, 4, 6, 5), "float32"))
    assert teacher.shape == (2, 4, 2, 3)
    assert student.shape == (2, 4, 2, 5)
    assert smaller_sizes((None, 7), (None, 9)) == []
    assert smaller_sizes((None, None, 7), (None, None, 9)) == [None]
    with pytest.raises(ValueError, match="only if both sizes are known"):
        smaller_sizes((None, None, 7), (None, 3, 9))
