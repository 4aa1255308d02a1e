"""A non-finite loss stops training with the last good weights, statistics and random state."""

import keras
import numpy as np
import pytest

import kd_keras
from kd_keras.losses import KLDivergence
from tests.conftest import sparse_crossentropy


def state_of(distiller):
    parts = [*distiller.student.variables, *distiller.optimizer.variables, distiller.step]
    return [np.asarray(variable) for variable in parts]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="graph"),
        pytest.param({"jit_compile": True}, id="xla", marks=pytest.mark.slow),
        pytest.param({"run_eagerly": True}, id="eager"),
        pytest.param({"steps_per_execution": 2}, id="two-steps", marks=pytest.mark.slow),
    ],
)
def test_nan_in_the_data_leaves_the_state_of_the_last_good_step(make_net, images, options):
    x, y = images
    results = []
    for broken in (False, True):
        keras.utils.set_random_seed(1)
        distiller = kd_keras.Distiller(
            make_net(4, "t"), make_net(4, "s", dropout=0.3), KLDivergence(2.0)
        )
        distiller.compile(keras.optimizers.SGD(0.1, momentum=0.9), sparse_crossentropy(), **options)
        if broken:
            damaged = x.copy()
            damaged[18] = np.nan  # in the third batch of 8
            with pytest.raises(kd_keras.NonFiniteLossError, match="last good step.*student_loss="):
                distiller.fit(damaged, y, batch_size=8, shuffle=False, verbose=0)
        else:
            distiller.fit(x[:16], y[:16], batch_size=8, shuffle=False, verbose=0)
        results.append(state_of(distiller))
    for good, kept in zip(*results, strict=True):
        np.testing.assert_array_equal(good, kept)


def test_training_goes_on_after_the_error(make_net, images):
    x, y = images
    distiller = kd_keras.Distiller(make_net(4, "t"), make_net(4, "s"), KLDivergence(2.0))
    distiller.compile("sgd", sparse_crossentropy())
    with pytest.raises(kd_keras.NonFiniteLossError):
        distiller.fit(np.full_like(x, np.nan), y, verbose=0)
    assert np.isfinite(distiller.fit(x, y, verbose=0).history["loss"]).all()


def test_a_finite_loss_with_a_nan_gradient_is_caught(make_net, images):
    """sqrt at 0 has a finite value and an infinite derivative."""

    class RootOfGap(kd_keras.losses.Loss):
        def per_example(self, teacher_outputs, student_outputs):
            gap = teacher_outputs - student_outputs
            return keras.ops.sqrt(keras.ops.sum(keras.ops.square(gap * 0.0), axis=-1))

    distiller = kd_keras.Distiller(make_net(4, "t"), make_net(4, "s"), RootOfGap())
    distiller.compile("sgd", sparse_crossentropy())
    before = distiller.student.get_weights()
    with pytest.raises(kd_keras.NonFiniteLossError):
        distiller.fit(*images, verbose=0)
    for old, new in zip(before, distiller.student.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_loss_that_explodes_ends_with_finite_weights(make_net, images):
    distiller = kd_keras.Distiller(make_net(4, "t"), make_net(4, "s"), kd_keras.losses.LogitsMSE())
    distiller.compile(keras.optimizers.SGD(1e15), sparse_crossentropy())
    with pytest.raises(kd_keras.NonFiniteLossError, match="Lower the learning rate"):
        distiller.fit(*images, epochs=50, verbose=0)
    assert all(np.isfinite(weight).all() for weight in distiller.student.get_weights())
