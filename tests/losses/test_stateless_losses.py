"""What holds of every loss without state: precision, extremes, compilation, config, distillers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import kd_keras
from kd_keras import losses
from tests.conftest import sparse_crossentropy
from tests.losses.test_logit_losses import random_logits

LABELS = np.array([2, 0, 5, 1])
MAPS = ((4, 4, 3, 5), (4, 2, 3, 4))  # teacher and student, of different height and channels
VECTORS = ((4, 6), (4, 5))
LOGITS = ((4, 6), (4, 6))

# Each loss with non-default hyper-parameters, and the shapes that it is tried on.
CASES = {
    "decoupled_kd": (losses.DecoupledKD(2.0, 0.5, 3.0), LOGITS),
    "dist": (losses.DIST(2.0, 0.5, 3.0), LOGITS),
    "standardized_kl": (losses.StandardizedKL(1.5), LOGITS),
    "hard_label": (losses.HardLabel(0.2), LOGITS),
    "attention_transfer": (losses.AttentionTransfer(3.0), MAPS),
    "neuron_selectivity": (losses.NeuronSelectivity(), MAPS),
    "similarity_preserving": (losses.SimilarityPreserving(), VECTORS),
    "relational_kd": (losses.RelationalKD(2.0, 3.0), VECTORS),
    "probabilistic_transfer": (losses.ProbabilisticTransfer(), VECTORS),
    "correlation_congruence": (losses.CorrelationCongruence(), LOGITS),
}
# Where nothing is left to teach once teacher and student agree.
ZERO_IF_EQUAL = [name for name in CASES if name != "hard_label"]


def outputs(name):
    return [random_logits(seed, shape) for seed, shape in enumerate(CASES[name][1])]


def inputs(name, batch=4):
    return {"y": LABELS[:batch]} if name == "decoupled_kd" else {}


def value_and_gradient(name, teacher, student, batch=4):
    loss = CASES[name][0]
    variable = tf.Variable(student)
    with tf.GradientTape() as tape:
        value = loss.compute_loss(teacher, variable, **inputs(name, batch))
    return value.numpy(), tf.convert_to_tensor(tape.gradient(value, variable)).numpy()


@pytest.mark.parametrize("name", CASES)
def test_gradients_match_finite_differences(name):
    loss = CASES[name][0]
    teacher, student = outputs(name)
    _, analytic = value_and_gradient(name, teacher, student)
    random = np.random.default_rng(3)
    for _ in range(4):
        direction = random.normal(size=student.shape).astype("float32")
        step = 1e-2 / np.linalg.norm(direction)
        ahead, behind = (
            float(loss.compute_loss(teacher, student + sign * step * direction, **inputs(name)))
            for sign in (1, -1)
        )
        numeric = (ahead - behind) / (2 * step)
        tolerance = float(0.02 * np.linalg.norm(analytic) * np.linalg.norm(direction))
        assert (analytic * direction).sum() == pytest.approx(numeric, abs=tolerance)


@pytest.mark.parametrize("name", ZERO_IF_EQUAL)
def test_a_student_that_equals_its_teacher_costs_nothing(name):
    teacher, _ = outputs(name)
    loss = CASES[name][0]
    np.testing.assert_allclose(
        loss.per_example(teacher, teacher, **inputs(name)), np.zeros(4), atol=2e-5
    )


@pytest.mark.parametrize("name", CASES)
def test_the_loss_is_the_mean_of_one_value_per_example(name):
    loss = CASES[name][0]
    values = loss.per_example(*outputs(name), **inputs(name))
    assert values.shape == (4,)
    value = loss.compute_loss(*outputs(name), **inputs(name))
    assert float(value) == pytest.approx(np.mean(values), rel=1e-6)
    assert float(value) > 1e-4


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_low_precision_inputs_are_computed_in_float32(name, dtype):
    loss = CASES[name][0]
    narrow = [ops.cast(tensor, dtype) for tensor in outputs(name)]
    values = loss.per_example(*narrow, **inputs(name))
    assert values.dtype == tf.float32
    wide = loss.per_example(*[ops.cast(t, "float32") for t in narrow], **inputs(name))
    np.testing.assert_array_equal(values, wide)


def extremes(shape):
    """Large values of either sign, zeros, constants, and the same for all examples."""
    random = np.random.default_rng(0)
    return {
        "huge": random.choice([-1e4, 0.0, 1e4], size=shape),
        "zeros": np.zeros(shape),
        "constant": np.full(shape, 0.3),
        "huge constant": np.full(shape, -1e4),
        "tiny": 1e-20 * random.normal(size=shape),
        "equal examples": np.broadcast_to(random.normal(size=(1, *shape[1:])), shape),
        "usual": random.normal(size=shape),
    }


@pytest.mark.parametrize("name", CASES)
def test_extremes_give_finite_values_and_gradients(name):
    teacher_shape, student_shape = CASES[name][1]
    teachers = extremes(teacher_shape)
    for teacher_kind in ("usual", "huge", "zeros", "equal examples"):
        teacher = teachers[teacher_kind]
        for student_kind, student in extremes(student_shape).items():
            value, gradient = value_and_gradient(
                name, teacher.astype("float32"), student.astype("float32")
            )
            assert np.isfinite(value), (teacher_kind, student_kind)
            assert np.isfinite(gradient).all(), (teacher_kind, student_kind)


@pytest.mark.parametrize("name", CASES)
def test_a_batch_of_one(name):
    teacher, student = (tensor[:1] for tensor in outputs(name))
    value, gradient = value_and_gradient(name, teacher, student, batch=1)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    if "relational" in name or "correlation" in name:  # no pairs
        assert value == 0.0


@pytest.mark.parametrize("name", CASES)
def test_a_batch_without_examples_is_zero_with_finite_gradients(name):
    loss = CASES[name][0]
    teacher, student = outputs(name)
    kernel = tf.Variable(tf.eye(student.shape[-1]))
    with tf.GradientTape() as tape:
        empty = tf.tensordot(student[:0], kernel, 1)
        value = loss.compute_loss(teacher[:0], empty, **inputs(name, batch=0))
    assert float(value) == 0.0
    np.testing.assert_array_equal(tape.gradient(value, kernel), tf.zeros_like(kernel))


@pytest.mark.parametrize("name", CASES)
def test_eager_graph_and_xla_agree_on_values_and_gradients(name):
    loss = CASES[name][0]
    expected = value_and_gradient(name, *outputs(name))

    def compute(teacher, student):
        with tf.GradientTape() as tape:
            tape.watch(student)
            value = loss.compute_loss(teacher, student, **inputs(name))
        return value, tape.gradient(value, student)

    graph = tf.function(compute)
    # XLA compiles the graph that was traced.
    for function in (graph, tf.function(graph, jit_compile=True)):
        found = function(*map(tf.constant, outputs(name)))
        for actual, eager in zip(found, expected, strict=True):
            np.testing.assert_allclose(actual, eager, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_configs_round_trip_through_keras(name):
    kind = type(CASES[name][0])
    loss = kind.from_config({**CASES[name][0].get_config(), "teacher_layer_name": "a"})
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(again) is kind
    assert again.get_config() == loss.get_config()
    assert again.get_config() == {**CASES[name][0].get_config(), "teacher_layer_name": "a"}


def net(width, name):
    """Maps, a pooled vector and the logits of six classes."""
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(width, 3, activation="relu", name="maps")(inputs)
    x = keras.layers.GlobalAveragePooling2D(name="vector")(x)
    return keras.Model(inputs, keras.layers.Dense(6, name="logits")(x), name=name)


def taps(name):
    return {MAPS: "maps", VECTORS: "vector", LOGITS: "logits"}[CASES[name][1]]


def with_taps(names):
    """The losses on layers; several of one class would be logged with numbers."""
    return [
        type(CASES[name][0]).from_config(
            {
                **CASES[name][0].get_config(),
                "teacher_layer_name": taps(name),
                "student_layer_name": taps(name),
            }
        )
        for name in names
    ]


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    return random.normal(size=(10, 6, 6, 1)).astype("float32"), random.integers(0, 6, 10)


@pytest.mark.slow
def test_all_of_them_train_together_in_our_distiller(data):
    x, y = data
    weight = np.linspace(0.0, 2.0, 10).astype("float32")
    distiller = kd_keras.Distiller(net(7, "t"), net(4, "s"), with_taps(CASES), combine="sum")
    distiller.compile("sgd", sparse_crossentropy(), jit_compile=False)
    logs = distiller.test_step((x, y, weight))
    for name, loss in zip(CASES, with_taps(CASES), strict=True):
        features = [
            keras.Model(model.input, model.get_layer(taps(name)).output)(x)
            for model in (distiller.teacher, distiller.student)
        ]
        labels = {"y": y} if name == "decoupled_kd" else {}
        expected = np.mean(np.array(loss.per_example(*features, **labels)) * weight)
        assert float(logs[name]) == pytest.approx(expected, rel=1e-3, abs=1e-6), name
    before = distiller.student.get_weights()
    history = distiller.fit(x, y, batch_size=4, verbose=0).history  # the last batch has 2 examples
    assert all(np.isfinite(values).all() for values in history.values())
    after = distiller.student.get_weights()
    assert not any(np.array_equal(*pair) for pair in zip(before, after, strict=True))


@pytest.mark.slow
def test_those_that_are_hard_for_xla_train_in_its_core(data):
    x, y = data
    names = ["decoupled_kd", "relational_kd"]
    distiller = kd_keras.Distiller(net(7, "t"), net(4, "s"), with_taps(names))
    distiller.compile("sgd", sparse_crossentropy(), jit_compile=True)
    history = distiller.fit(x, y, batch_size=5, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())


def test_they_train_in_the_distiller_of_keras(data):
    x, y = data
    names = [name for name in CASES if name != "decoupled_kd"]  # it needs labels, and says so
    theirs = keras.distillation.Distiller(net(7, "t"), net(4, "s"), with_taps(names))
    theirs.compile("sgd", loss=sparse_crossentropy(), run_eagerly=True)
    history = theirs.fit(x, y, batch_size=5, verbose=0).history
    assert np.isfinite(history["distillation_loss"]).all()
