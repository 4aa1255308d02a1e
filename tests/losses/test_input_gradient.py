"""Jacobian matching: values by hand, and the Distiller's gradients against a tape of the test."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.losses import InputGradient, KLDivergence, input_gradient
from tests.conftest import sparse_crossentropy


def linear(seed, classes=3, activation=None):
    glorot = keras.initializers.GlorotNormal
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(
                5, activation, kernel_initializer=keras.initializers.GlorotNormal(seed)
            ),
            keras.layers.Dense(classes, kernel_initializer=glorot(seed + 1), name="logits"),
        ]
    )


def direction(model, x, chosen):
    images = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(images)
        picked = tf.gather(model(images, training=False), chosen, batch_dims=1)
        total = tf.reduce_sum(picked)
    gradient = np.reshape(tape.gradient(total, images), (len(x), -1))
    return gradient / np.linalg.norm(gradient, axis=-1, keepdims=True)


def expected_values(teacher, student, x):
    """The definition, with a tape for each network and NumPy."""
    chosen = np.argmax(teacher(x), axis=-1)
    return ((direction(teacher, x, chosen) - direction(student, x, chosen)) ** 2).sum(-1)


def distiller_of(teacher, student, losses=None, **compile_options):
    distiller = kd_keras.Distiller(teacher, student, losses or InputGradient(), None, 0.0)
    distiller.compile(keras.optimizers.SGD(0.0), **compile_options)
    return distiller


@pytest.mark.parametrize(
    ("teacher", "student", "expected"),
    [
        ([3.0, 4.0], [1.0, 0.0], 0.8),  # (0.6 - 1)^2 + 0.8^2
        ([3.0, 4.0], [6.0, 8.0], 0.0),  # the length does not count
        ([3.0, 4.0], [-3.0, -4.0], 4.0),
        ([3.0, 4.0], [0.0, 0.0], 1.0),
        ([0.0, 0.0], [0.0, 0.0], 0.0),
        ([3e-30, 4e-30], [1e30, 0.0], 0.8),  # the squares are out of range
    ],
)
def test_values_by_hand_with_finite_gradients(teacher, student, expected):
    student = tf.Variable([student])
    with tf.GradientTape() as tape:
        values = input_gradient(np.array([teacher], "float32"), student)
    assert values.numpy() == pytest.approx(expected, abs=1e-6)
    assert np.isfinite(tape.gradient(values, student)).all()


@pytest.mark.parametrize(
    "options",
    [{}, pytest.param({"jit_compile": True}, marks=pytest.mark.slow), {"run_eagerly": True}],
    ids=str,
)
def test_a_step_gives_the_value_of_the_definition(make_net, images, options):
    x, y = images[0][:8], images[1][:8]
    teacher, student = make_net(6, "t"), make_net(4, "s", norm=False)
    expected = expected_values(teacher, student, x)
    history = distiller_of(teacher, student, **options).fit(x, y, batch_size=8, verbose=0)
    assert history.history["distillation_loss"] == [pytest.approx(expected.mean(), rel=1e-3)]
    assert 0.1 < expected.mean() < 4


def test_the_step_descends_along_the_gradient_of_the_definition():
    """Central differences of the definition over each of the student's weights."""
    x = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    teacher, student = linear(1, activation="tanh"), linear(3, activation="tanh")
    chosen = np.argmax(teacher(x), axis=-1)
    taught = direction(teacher, x, chosen)
    before = student.get_weights()
    expected = []
    for index, weight in enumerate(before):
        slopes = np.zeros_like(weight)
        for place in np.ndindex(weight.shape):
            ends = []
            for shift in (1e-2, -1e-2):
                moved = [w.copy() for w in before]
                moved[index][place] += shift
                student.set_weights(moved)
                ends.append(((taught - direction(student, x, chosen)) ** 2).sum(-1).mean())
            slopes[place] = (ends[0] - ends[1]) / 2e-2
        expected.append(slopes)
    student.set_weights(before)
    distiller = kd_keras.Distiller(teacher, student, InputGradient(), None, 0.0)
    distiller.compile(keras.optimizers.SGD(1.0))
    distiller.fit(x, batch_size=6, verbose=0)
    for old, new, slope in zip(before, student.get_weights(), expected, strict=True):
        np.testing.assert_allclose(old - new, slope, atol=2e-3)
    assert max(np.abs(slope).max() for slope in expected) > 0.05


@pytest.mark.slow
def test_it_teaches_where_to_look():
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    teacher, student = linear(1), linear(3)
    distiller = kd_keras.Distiller(teacher, student, InputGradient(), None, 0.0)
    distiller.compile(keras.optimizers.Adam(0.02))
    losses = distiller.fit(x, epochs=30, verbose=0).history["distillation_loss"]
    assert losses[-1] < 0.1 * losses[0]


def test_pixels_may_be_uint8_and_other_whole_numbers_are_refused(make_net, images):
    x = images[0][:8].astype("uint8")
    teacher, student = make_net(6, "t"), make_net(4, "s")
    expected = expected_values(teacher, student, x.astype("float32")).mean()
    distiller = distiller_of(teacher, student)
    found = distiller.evaluate(x, verbose=0, return_dict=True)["distillation_loss"]
    assert found == pytest.approx(expected, rel=1e-4)
    with pytest.raises(ValueError, match=r"inputs of dtype int64.*token ids"):
        distiller_of(linear(1), linear(2)).fit(np.ones((4, 4), "int64"), verbose=0)


@pytest.mark.slow
def test_half_precision_keeps_the_gradients_in_range(make_net, images):
    x, y = images[0][:8], images[1][:8]
    teacher = make_net(6, "t")
    keras.config.set_dtype_policy("mixed_float16")
    try:
        student = make_net(4, "s", norm=False)
    finally:
        keras.config.set_dtype_policy("float32")
    twin = make_net(4, "twin", norm=False)
    twin.set_weights(student.get_weights())
    expected = expected_values(teacher, twin, x).mean()
    history = distiller_of(teacher, student).fit(x, y, batch_size=8, verbose=0)
    assert history.history["distillation_loss"] == [pytest.approx(expected, rel=0.05)]


@pytest.mark.slow
def test_sample_weights_and_other_losses_beside_it(make_net, images):
    x, y = images[0][:8], images[1][:8]
    weight = np.array([0, 0, 0, 0, 1, 1, 2, 2], "float32")
    teacher, student = make_net(6, "t"), make_net(4, "s")
    values = expected_values(teacher, student, x)
    distiller = kd_keras.Distiller(teacher, student, [KLDivergence(2.0), InputGradient()], [1, 0.5])
    distiller.compile(keras.optimizers.SGD(0.01), sparse_crossentropy())
    found = distiller.evaluate(x, y, sample_weight=weight, verbose=0, return_dict=True)
    assert found["input_gradient"] == pytest.approx(float((weight * values).mean()), rel=1e-4)
    history = distiller.fit(x, y, sample_weight=weight, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_logits_that_are_tapped():
    x = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    teacher, student = linear(1), linear(3)
    expected = expected_values(teacher, student, x).mean()
    tapped = kd_keras.Distiller(
        keras.Sequential([keras.Input((4,)), *teacher.layers, keras.layers.Softmax()]),
        keras.Sequential([keras.Input((4,)), *student.layers, keras.layers.Softmax()]),
        InputGradient("logits", "logits"),
        None,
        0.0,
    )
    tapped.compile("sgd")
    found = tapped.evaluate(x, verbose=0, return_dict=True)["distillation_loss"]
    assert found == pytest.approx(expected, rel=1e-4)


def test_keras_own_distiller_is_refused_with_the_remedy(make_net, images):
    distiller = keras.distillation.Distiller(
        make_net(name="t"), make_net(name="s"), InputGradient()
    )
    distiller.compile("sgd", sparse_crossentropy(), run_eagerly=True)
    with pytest.raises(ValueError, match=r"only `kd_keras\.Distiller` has"):
        distiller.fit(*images, verbose=0)
