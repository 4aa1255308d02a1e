"""What holds of every loss: gradients, precision, extremes, compilation, configs."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras import losses

LABELS = np.array([2, 0, 5, 1])
# The shapes of teacher and student that a loss is tried on, without the batch.
LOGITS = (6,), (6,)
MAPS = (4, 3, 5), (2, 3, 4)  # of different height and channels
VECTORS = (6,), (5,)
FINER = [(4, 4, 5)], [(8, 8, 3)]
STAGES = [(8, 8, 4), (4, 4, 6), (8,)], [(8, 8, 3), (4, 4, 5), (7,)]

# Each loss with hyper-parameters that are not its defaults.
CASES = {
    "kl": (losses.KLDivergence, {"temperature": 2.0}, LOGITS),
    "soft_crossentropy": (losses.SoftCrossentropy, {"temperature": 2.0}, LOGITS),
    "logits_mse": (losses.LogitsMSE, {}, LOGITS),
    "probability_mse": (losses.ProbabilityMSE, {"temperature": 2.0}, LOGITS),
    "decoupled_kd": (
        losses.DecoupledKD,
        {"temperature": 2.0, "alpha": 0.5, "beta": 3.0},
        LOGITS,
    ),
    "dist": (losses.DIST, {"temperature": 2.0, "beta": 0.5, "gamma": 3.0}, LOGITS),
    "standardized_kl": (losses.StandardizedKL, {"temperature": 1.5}, LOGITS),
    "hard_label": (losses.HardLabel, {"label_smoothing": 0.2}, LOGITS),
    "attention_transfer": (losses.AttentionTransfer, {"power": 3.0}, MAPS),
    "neuron_selectivity": (losses.NeuronSelectivity, {}, MAPS),
    "similarity_preserving": (losses.SimilarityPreserving, {}, VECTORS),
    "relational_kd": (
        losses.RelationalKD,
        {"distance_weight": 2.0, "angle_weight": 3.0},
        VECTORS,
    ),
    "probabilistic_transfer": (losses.ProbabilisticTransfer, {}, VECTORS),
    "correlation_congruence": (losses.CorrelationCongruence, {}, LOGITS),
    # Those that own layers, which train with the student.
    "hint": (losses.Hint, {"adapter": True}, FINER),
    "channel_wise": (
        losses.ChannelWise,
        {"temperature": 2.0, "adapter": True},
        ([(4, 3, 5)], [(2, 3, 4)]),
    ),
    "vid": (losses.VariationalInformation, {"initial_variance": 2.0}, FINER),
    "vid of several": (losses.VariationalInformation, {}, STAGES),
    "review": (losses.KnowledgeReview, {"max_width": 4}, STAGES),
    "overhaul": (losses.OverhaulFeature, {"margin": -0.5}, FINER),
    "crd": (
        losses.ContrastiveRepresentation,
        {"samples": 9, "negatives": 20, "dimensions": 4, "temperature": 0.5, "momentum": 0.3},
        ([(6,)], [(5,)]),
    ),
    "in batch": (losses.InBatchContrast, {"dimensions": 4, "temperature": 0.5}, ([(6,)], [(5,)])),
}
WITHOUT_LAYERS = list(CASES)[:14]
# Where nothing is left to teach once teacher and student agree.
ZERO_IF_EQUAL = [n for n in WITHOUT_LAYERS if n not in ("soft_crossentropy", "hard_label")]


@pytest.fixture(params=CASES)
def name(request):
    return request.param


def build(name):
    kind, arguments, shapes = CASES[name]
    loss = kind(**arguments)
    if name not in WITHOUT_LAYERS:
        loss.build(*([(None, *shape) for shape in side] for side in shapes))
    if name == "crd":
        loss.memory.z_is_set.assign(1.0)  # Z is a constant, and no part of the gradient
    return loss


def made(name, make):
    """Return what `make` gives for each shape, in the form that the loss takes."""
    return [
        [make(s) for s in side] if isinstance(side, list) else make(side) for side in shapes(name)
    ]


def shapes(name):
    return CASES[name][2]


def outputs(name, batch=4, seed=0):
    random = np.random.default_rng(seed)
    scale = 3 if name in WITHOUT_LAYERS else 1
    return made(name, lambda shape: scale * random.normal(size=(batch, *shape)).astype("float32"))


def cast(structure, dtype):
    return keras.tree.map_structure(lambda tensor: tf.cast(tensor, dtype), structure)


def labels(name, batch=4):
    return {"y": LABELS[:batch]} if name == "decoupled_kd" else {}


def own_weights(loss):
    found = keras.tree.flatten(list(vars(loss).values()))
    return [w.value for f in found if isinstance(f, keras.Layer) for w in f.trainable_weights]


def with_gradients(name, loss, batch=4):
    """Return what gives the value and its gradients, those of the student's outputs first."""

    def compute(teacher, student):
        student = keras.tree.map_structure(tf.convert_to_tensor, student)
        watched = keras.tree.flatten(student)
        with tf.GradientTape() as tape:
            tape.watch(watched)
            value = loss.compute_loss(teacher, student, **labels(name, batch))
        return value, tape.gradient(value, [*watched, *own_weights(loss)])

    return compute


@functools.cache
def graph(name):
    """The same in a graph, which is traced once for all tests; `python_function` is eager."""
    return tf.function(with_gradients(name, build(name)))


def test_gradients_match_finite_differences(name):
    loss = build(name)
    teacher, student = outputs(name)
    compute = with_gradients(name, loss)
    _, gradients = compute(teacher, student)
    assert all(gradient is not None and np.any(gradient) for gradient in gradients)
    parts = keras.tree.flatten(student)
    random = np.random.default_rng(3)
    for _ in range(4):
        directions = [random.normal(size=part.shape).astype("float32") for part in parts]
        length = np.sqrt(sum((direction**2).sum() for direction in directions))
        step = 1e-2 / length
        ahead, behind = (
            float(
                loss.compute_loss(teacher, moved(student, sign * step, directions), **labels(name))
            )
            for sign in (1, -1)
        )
        pairs = list(zip(directions, gradients[: len(parts)], strict=True))
        expected = sum(float(np.sum(d * g)) for d, g in pairs)
        steepest = np.sqrt(sum(float(np.sum(np.square(g))) for _, g in pairs))
        tolerance = 0.02 * steepest * length
        assert (ahead - behind) / (2 * step) == pytest.approx(expected, abs=tolerance)


def moved(student, step, directions):
    parts = [p + step * d for p, d in zip(keras.tree.flatten(student), directions, strict=True)]
    return keras.tree.pack_sequence_as(student, parts)


@pytest.mark.parametrize("name", ZERO_IF_EQUAL)
def test_a_student_that_equals_its_teacher_costs_nothing(name):
    teacher, _ = outputs(name)
    values = build(name).per_example(teacher, teacher, **labels(name))
    np.testing.assert_allclose(values, np.zeros(4), atol=2e-5)


def test_the_loss_is_the_mean_of_one_value_per_example(name):
    loss = build(name)
    values = loss.per_example(*outputs(name), **labels(name))
    assert values.shape == (4,)
    value = float(loss.compute_loss(*outputs(name), **labels(name)))
    assert value == pytest.approx(np.mean(values), rel=1e-6)
    assert abs(value) > 1e-4


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_low_precision_is_computed_in_float32(name, dtype):
    loss = build(name)
    narrow = [cast(side, dtype) for side in outputs(name)]
    values = loss.per_example(*narrow, **labels(name))
    assert values.dtype == tf.float32
    wide = loss.per_example(*cast(narrow, "float32"), **labels(name))
    np.testing.assert_array_equal(values, wide)


def extreme(kind):
    """Return what makes large values of either sign, zeros, constants, or the same examples."""
    random = np.random.default_rng(0)

    def make(shape):
        shape = (4, *shape)
        values = {
            "huge": lambda: random.choice([-1e4, 0.0, 1e4], size=shape),
            "zeros": lambda: np.zeros(shape),
            "constant": lambda: np.full(shape, 0.3),
            "huge constant": lambda: np.full(shape, -1e4),
            "tiny": lambda: 1e-20 * random.normal(size=shape),
            "equal examples": lambda: np.broadcast_to(random.normal(size=(1, *shape[1:])), shape),
            "usual": lambda: random.normal(size=shape),
        }
        return tf.constant(values[kind](), tf.float32)

    return make


EXTREMES = ("huge", "zeros", "constant", "huge constant", "tiny", "equal examples", "usual")


def test_extremes_give_finite_values_and_gradients(name):
    for teacher_kind in ("usual", "huge", "zeros", "equal examples"):
        for student_kind in EXTREMES:
            teacher = made(name, extreme(teacher_kind))[0]
            student = made(name, extreme(student_kind))[1]
            value, gradients = graph(name)(teacher, student)
            assert np.isfinite(value), (teacher_kind, student_kind)
            finite = [np.isfinite(gradient).all() for gradient in gradients]
            assert all(finite), (teacher_kind, student_kind)


def test_a_batch_of_one(name):
    value, gradients = with_gradients(name, build(name), 1)(*outputs(name, batch=1))
    assert np.isfinite(value)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    if "relational" in name or "correlation" in name:  # no pairs
        assert value == 0.0


def test_a_batch_without_examples_is_zero_with_finite_gradients(name):
    if name == "review":
        pytest.skip("TensorFlow's convolution of no examples has the wrong channels on a CPU")
    loss = build(name)
    teacher, student = outputs(name, batch=0)
    # As a student's last layer gives them: the gradient of its kernel must be zero, and not NaN.
    kernels = [tf.Variable(tf.eye(part.shape[-1])) for part in keras.tree.flatten(student)]
    with tf.GradientTape() as tape:
        parts = [
            tf.tensordot(p, k, 1) for p, k in zip(keras.tree.flatten(student), kernels, strict=True)
        ]
        empty = keras.tree.pack_sequence_as(student, parts)
        value = loss.compute_loss(teacher, empty, **labels(name, 0))
    own = own_weights(loss)
    gradients = tape.gradient(value, [*kernels, *own])
    assert float(value) == 0.0
    for kernel, gradient in zip(kernels, gradients, strict=False):
        np.testing.assert_array_equal(gradient, tf.zeros_like(kernel))
    assert all(np.isfinite(gradient).all() for gradient in gradients[len(kernels) :])


def test_eager_graph_and_xla_agree_on_values_and_gradients(name):
    arguments = keras.tree.map_structure(tf.constant, outputs(name))
    expected = keras.tree.flatten(graph(name).python_function(*arguments))
    # XLA compiles the graph that was traced.
    for function in (graph(name), tf.function(graph(name), jit_compile=True)):
        found = keras.tree.flatten(function(*arguments))
        for actual, eager in zip(found, expected, strict=True):
            np.testing.assert_allclose(actual, eager, rtol=1e-4, atol=1e-5)


def test_configs_round_trip_through_keras(name):
    kind, arguments, _ = CASES[name]
    loss = kind(**arguments)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(again) is kind
    assert again.get_config() == loss.get_config()
    assert {argument: again.get_config()[argument] for argument in arguments} == arguments
