"""Hints: values by hand, when an adapter is made, and Keras's own distiller."""

import keras
import numpy as np
import pytest

from kd_keras.losses import Hint, feature_mse
from tests.conftest import sparse_crossentropy


def test_values_computed_by_hand():
    teacher = np.array([[1.0, 2.0], [0.0, 0.0]], "float32")
    student = np.array([[3.0, 2.0], [0.0, 1.0]], "float32")
    np.testing.assert_allclose(feature_mse(teacher, student), [2.0, 0.5])
    assert float(Hint().compute_loss(teacher, student)) == 1.25
    # The teacher's 2 x 2 map averages to (1 + 3) / 2 = 2 in one place, then (2 - 5)^2.
    maps = np.array([1.0, 3.0, 1.0, 3.0], "float32").reshape(1, 2, 2, 1)
    assert float(Hint().compute_loss(maps, np.full((1, 1, 1, 1), 5.0, "float32"))) == 9.0


def test_equal_features_give_zero():
    features = np.random.default_rng(0).normal(size=(3, 4, 4, 2)).astype("float32")
    np.testing.assert_array_equal(Hint().per_example(features, features), np.zeros(3))


def test_the_adapter_is_a_1x1_convolution_and_the_taps_add_up():
    random = np.random.default_rng(0)
    teacher = [random.normal(size=(2, *shape)).astype("float32") for shape in ((2, 2, 5), (3,))]
    student = [random.normal(size=(2, *shape)).astype("float32") for shape in ((4, 4, 2), (3,))]
    hint = Hint(["a", "b"], ["a", "b"])
    hint.build([one.shape for one in teacher], [one.shape for one in student])
    kernel, bias = (np.array(weight) for weight in hint.adapters.weights)
    assert kernel.shape == (2, 5)
    convolved = keras.ops.conv(student[0], kernel[None, None], padding="valid") + bias
    pooled = np.array(convolved).reshape(2, 2, 2, 2, 2, 5).mean((2, 4))
    expected = ((teacher[0] - pooled) ** 2).mean((1, 2, 3)) + ((teacher[1] - student[1]) ** 2).mean(
        1
    )
    np.testing.assert_allclose(hint.per_example(teacher, student), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("adapter", "student_channels", "weights"), [(None, 4, 0), (None, 3, 2), (True, 4, 2)]
)
def test_an_adapter_is_made_where_channels_differ_or_when_asked(adapter, student_channels, weights):
    hint = Hint(adapter=adapter)
    hint.build((None, 4), (None, student_channels))
    assert len(hint.adapters.weights) == weights


def test_no_adapter_when_told_so():
    with pytest.raises(ValueError, match=r"adapter=False needs.*\(2, 4\).*\(2, 3\)"):
        Hint(adapter=False).compute_loss(np.ones((2, 4)), np.ones((2, 3)))
    with pytest.raises(ValueError, match="`adapter` must be None"):
        Hint(adapter="conv")


def test_keras_own_distiller_runs_it_without_an_adapter_and_is_refused_with_one(make_net, images):
    x, y = images
    distiller = keras.distillation.Distiller(
        make_net(4, "t"), make_net(4, "s"), Hint("pool", "pool")
    )
    distiller.compile("sgd", sparse_crossentropy(), run_eagerly=True)
    assert np.isfinite(distiller.evaluate(x, y, verbose=0)).all()
    wider = keras.distillation.Distiller(make_net(5, "t"), make_net(4, "s"), Hint("pool", "pool"))
    wider.compile("sgd", sparse_crossentropy(), run_eagerly=True)
    with pytest.raises(ValueError, match="Pass the loss to `kd_keras.Distiller`"):
        wider.fit(x, y, verbose=0)
