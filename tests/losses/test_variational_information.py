"""VID against NumPy, and its variances."""

import numpy as np
import pytest

from kd_keras.losses import VariationalInformation, gaussian_surprise


def test_the_value_computed_by_hand():
    teacher, mean = np.array([[3.0, 1.0]], "float32"), np.array([[1.0, 1.0]], "float32")
    variance = np.array([4.0, 1.0], "float32")
    # ((4 / 4 + log 4) / 2 + 0) / 2
    expected = (0.5 * (1 + np.log(4.0))) / 2
    np.testing.assert_allclose(gaussian_surprise(teacher, mean, variance), [expected], rtol=1e-6)


def test_against_numpy_with_a_bigger_student():
    random = np.random.default_rng(0)
    teacher = random.normal(size=(3, 2, 2, 4)).astype("float32")
    student = random.normal(size=(3, 4, 4, 3)).astype("float32")
    loss = VariationalInformation(initial_variance=2.0)
    loss.build(teacher.shape, student.shape)
    regressor = loss.regressor.regressors[0]
    raw = np.linspace(-1, 2, 4).astype("float32")
    regressor.raw_variance.assign(raw)
    x = student.reshape(3, 2, 2, 2, 2, 3).mean((2, 4))
    kernels = [np.array(layer.kernel) for layer in regressor.stack]
    assert [kernel.shape for kernel in kernels] == [(3, 4), (4, 4), (4, 4)]
    mean = np.maximum(np.maximum(x @ kernels[0], 0) @ kernels[1], 0) @ kernels[2]
    variance = np.log(1 + np.exp(raw)) + 1e-5
    expected = (0.5 * ((mean - teacher) ** 2 / variance + np.log(variance))).mean((1, 2, 3))
    np.testing.assert_allclose(loss.per_example(teacher, student), expected, rtol=1e-5)


@pytest.mark.parametrize("variance", [1e-3, 5.0, 200.0])
def test_the_variance_starts_where_it_is_told_to(variance):
    loss = VariationalInformation(initial_variance=variance)
    loss.build((None, 4), (None, 3))
    _, start = loss.regressor.predict(0, np.zeros((1, 3), "float32"))
    np.testing.assert_allclose(start, np.full(4, variance), rtol=1e-3)


@pytest.mark.parametrize("variance", [0.0, 1e-5, -1.0, float("inf"), "5"])
def test_variances_out_of_range_are_refused(variance):
    with pytest.raises(ValueError, match="`initial_variance` must be a finite number"):
        VariationalInformation(initial_variance=variance)
