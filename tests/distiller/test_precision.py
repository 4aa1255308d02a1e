"""Teacher and student of different dtypes, and loss scaling for float16."""

import itertools

import keras
import numpy as np
import pytest

import kd_keras
from kd_keras.losses import KLDivergence
from tests.conftest import sparse_crossentropy

X = np.random.default_rng(0).normal(size=(16, 5)).astype("float32")
Y = np.arange(16) % 3


def net(dtype="float32", head="float32"):
    inputs = keras.Input((5,), dtype="float32")
    x = keras.layers.Dense(8, activation="relu", dtype=dtype, name="hidden")(inputs)
    return keras.Model(inputs, keras.layers.Dense(3, dtype=head)(x))


HALVES = ("mixed_float16", "mixed_bfloat16")


@pytest.mark.parametrize(
    ("student", "teacher"),
    [
        pytest.param(*pair, marks=[] if set(pair) == set(HALVES) else pytest.mark.slow)
        for pair in itertools.product(("float32", *HALVES), repeat=2)
    ],
)
def test_teacher_and_student_may_differ_in_dtype(teacher, student):
    losses = [
        KLDivergence(2.0),
        keras.distillation.FeatureDistillation("mse", "hidden", "hidden"),
    ]
    distiller = kd_keras.Distiller(net(teacher, teacher), net(student, student), losses)
    distiller.compile(keras.optimizers.SGD(0.1), sparse_crossentropy(), metrics=["accuracy"])
    history = distiller.fit(X, Y, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.parametrize(
    ("dtype", "head", "scaled"),
    [
        ("float32", "float32", False),
        ("mixed_bfloat16", "float32", False),
        ("mixed_float16", "mixed_float16", True),
        ("mixed_float16", "float32", True),
    ],
)
def test_any_float16_layer_in_the_student_brings_loss_scaling(dtype, head, scaled):
    distiller = kd_keras.Distiller(net(), net(dtype, head), KLDivergence())
    distiller.compile("adam", sparse_crossentropy())
    is_scaled = isinstance(distiller.optimizer, keras.optimizers.LossScaleOptimizer)
    assert is_scaled is scaled
    distiller.compile("adam", sparse_crossentropy(), auto_scale_loss=False)
    assert not isinstance(distiller.optimizer, keras.optimizers.LossScaleOptimizer)


def test_a_float16_teacher_alone_needs_no_loss_scaling():
    distiller = kd_keras.Distiller(net("mixed_float16"), net(), KLDivergence())
    distiller.compile("adam", sparse_crossentropy())
    assert not isinstance(distiller.optimizer, keras.optimizers.LossScaleOptimizer)


def test_the_loss_is_scaled_so_that_the_update_is_that_of_float32():
    """Without `scale_loss` the optimizer would divide a plain gradient by 32768."""
    updates = []
    for dtype in ("float32", "mixed_float16"):
        keras.utils.set_random_seed(1)
        distiller = kd_keras.Distiller(net(), net(dtype), KLDivergence(2.0))
        distiller.compile(keras.optimizers.SGD(0.5), sparse_crossentropy())
        before = distiller.student.get_weights()
        distiller.train_on_batch(X, Y)
        updates.append(distiller.student.get_weights()[2] - before[2])
    assert np.abs(updates[0]).max() > 1e-2
    np.testing.assert_allclose(updates[0], updates[1], rtol=0.05, atol=1e-3)


def test_an_overflow_of_scaled_gradients_is_not_taken_for_a_broken_loss():
    distiller = kd_keras.Distiller(net(), net("mixed_float16"), KLDivergence(2.0))
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=2e38)
    distiller.compile(optimizer, sparse_crossentropy())
    before = distiller.student.get_weights()
    distiller.train_on_batch(X, Y)  # overflows: the optimizer skips the step, lowers the scale
    np.testing.assert_array_equal(before[0], distiller.student.get_weights()[0])
    assert float(optimizer.dynamic_scale) < 2e38
    assert int(distiller.step) == 1


def test_losses_are_float32_under_a_global_float16_policy():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        models = [keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)]) for _ in range(2)]
        distiller = kd_keras.Distiller(*models, KLDivergence(2.0))
        distiller.compile("sgd", sparse_crossentropy())
        assert isinstance(distiller.optimizer, keras.optimizers.LossScaleOptimizer)
        assert distiller.compute_loss(X, Y).dtype == "float32"
        assert np.isfinite(distiller.fit(X, Y, verbose=0).history["loss"]).all()
    finally:
        keras.config.set_dtype_policy("float32")
