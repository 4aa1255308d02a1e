"""A graph of constants answers as the Keras model does, or is not used."""

import logging
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras.teachers import inference, inference_graph
from kd_keras.teachers.inference import TeacherInference
from kd_keras.training.taps import TappedModel

IMAGE = (6, 6, 1)


def layers():
    """A convolution, a depthwise one and a dense layer, batch-normalised, none of them trivial."""
    norm = keras.layers.BatchNormalization
    drawn = {
        "beta_initializer": keras.initializers.RandomNormal(seed=1),
        "gamma_initializer": keras.initializers.RandomUniform(0.5, 2.0, seed=2),
        "moving_mean_initializer": keras.initializers.RandomNormal(seed=3),
        "moving_variance_initializer": keras.initializers.RandomUniform(0.5, 2.0, seed=4),
    }
    return [
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(4, 3, use_bias=False, name="conv"),
        norm(name="norm", **drawn),
        keras.layers.ReLU(name="relu"),
        keras.layers.DepthwiseConv2D(3, use_bias=False),
        norm(**drawn),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(5),
        norm(**drawn),
        keras.layers.Dense(3, bias_initializer="ones", name="logits"),
    ]


def functional():
    inputs = x = keras.Input(IMAGE)
    for layer in layers():
        x = layer(x)
    return keras.Model(inputs, x), ["relu"]


def sequential():
    return keras.Sequential([keras.Input(IMAGE), *layers()]), ["relu"]


def nested():
    inputs = keras.Input(IMAGE)
    inner = keras.Sequential([keras.Input(IMAGE), *layers()], name="inner")
    return keras.Model(inputs, keras.layers.Dense(3)(inner(inputs))), ["inner/relu", "inner"]


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.parts = layers()
        self.table = tf.reshape(tf.range(2000, dtype="float32"), (2, 1000))

    def call(self, inputs, training=None):
        x, taps = inputs, {}
        for layer in self.parts:
            x = layer(x, training=training) if layer._call_has_training_arg else layer(x)
            taps[layer.name] = x
        return {"logits": x + self.table[1, 999], "relu": taps["relu"], "twice": [x, 2 * x]}


def subclassed():
    model = Subclassed()
    model(np.zeros((1, *IMAGE), "float32"))
    return model, ["relu"]


def one_layer():
    layer = keras.layers.Dense(3)
    layer.build((None, *IMAGE))
    return layer, []


def images(dtype="float32"):
    return np.random.default_rng(0).integers(0, 256, (12, *IMAGE)).astype(dtype)


def infer(teacher, taps=(), mode="auto", x=None):
    """Return how the teacher runs in a graph, what it answers there, and what Keras answers."""
    network = TappedModel(teacher, taps, "teacher")
    found = TeacherInference(network, teacher, mode)
    x = tf.constant(images() if x is None else x)
    return found, tf.function(found)(x), network(x, training=False)


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, "kd_keras")
    return caplog


@pytest.mark.parametrize(
    ("make", "dtype"),
    [
        (functional, "uint8"),
        (sequential, "float32"),
        (nested, "float32"),
        (subclassed, "float32"),
        (one_layer, "float32"),
    ],
)
def test_outputs_and_taps_are_those_of_the_keras_model(make, dtype, log):
    teacher, taps = make()
    found, graph, plain = infer(teacher, taps, x=images(dtype))
    assert found.is_frozen
    keras.tree.assert_same_structure(graph, plain)
    for a, b in zip(keras.tree.flatten(graph), keras.tree.flatten(plain), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max())
    assert "runs as an inference graph" in log.text
    assert "random inputs" in log.text


def test_gradients_at_the_inputs_are_those_of_the_keras_model():
    teacher, _ = functional()
    found, *_ = infer(teacher)
    network = found._network

    @tf.function
    def gradient(run, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            score = tf.reduce_sum(run(x, training=False)[0][:, 1])
        return tape.gradient(score, x)

    graph, plain = (gradient(run, tf.constant(images())) for run in (found, network))
    assert found.is_frozen
    assert np.abs(plain).max() > 0
    np.testing.assert_allclose(graph, plain, rtol=1e-4, atol=1e-5 * np.abs(plain).max())


def operations(found, x):
    graph = tf.function(found).get_concrete_function(tf.constant(x)).graph.as_graph_def()
    return [node for function in graph.library.function for node in function.node_def]


@pytest.mark.parametrize("make", [functional, subclassed])
def test_batch_normalisation_is_merged_and_no_variable_is_read(make):
    teacher, _ = make()
    found, *_ = infer(teacher)
    kinds = [node.op for node in operations(found, images())]
    assert "ReadVariableOp" not in kinds
    assert "Rsqrt" not in kinds
    assert kinds.count("Mul") == (2 if make is subclassed else 1)  # the scaling, and "twice"
    assert kinds.count("BiasAdd") == 4


def test_bfloat16_computes_so_and_says_what_it_costs(log):
    teacher, _ = functional()
    found, graph, plain = infer(teacher, mode="bfloat16")
    convolutions = [n for n in operations(found, images()) if n.op in ("Conv2D", "MatMul")]
    assert graph[0].dtype == tf.float32
    if "runs in float32" in log.text:  # a processor for which TensorFlow has no such kernels
        assert "nothing of it in bfloat16 on this processor" in log.text
        assert {node.attr["T"].type for node in convolutions} == {tf.float32.as_datatype_enum}
        assert inference.relative_difference(plain[0].numpy(), graph[0].numpy()) < 1e-4
        return
    assert {node.attr["T"].type for node in convolutions} == {tf.bfloat16.as_datatype_enum}
    difference = inference.relative_difference(plain[0].numpy(), graph[0].numpy())
    assert 1e-4 < difference < 0.05
    assert "in bfloat16: the largest difference to the Keras model is" in log.text


class Draws(keras.layers.Layer):
    def call(self, x):
        return x + tf.random.normal(tf.shape(x))


class DrawsFromKeras(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.seeds = keras.random.SeedGenerator(1)

    def call(self, x):
        return x + keras.random.normal(keras.ops.shape(x), seed=self.seeds)


class Counts(keras.layers.Layer):
    def build(self, shape):
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x):
        self.count.assign_add(1.0)
        return x


class ReadsAVariable(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.hidden = [lambda: self.variable]
        self.variable = tf.Variable(2.0)

    def call(self, x):
        return x * self.variable


class Rounds(keras.layers.Layer):
    def call(self, x):
        return tf.quantization.fake_quant_with_min_max_args(x)


class Sparse(keras.layers.Layer):
    def call(self, x):
        return tf.sparse.from_dense(x)


def with_layer(layer):
    return lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(4), layer()])


def quantised():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.quantize("int8")
    return model


def masked():
    masking = [keras.layers.Reshape((4, 1)), keras.layers.Masking()]
    return keras.Sequential([keras.Input((4,)), *masking, keras.layers.Dense(3)])


def looked_up():
    table = keras.layers.IntegerLookup(vocabulary=[1, 2], output_mode="one_hot")
    return keras.Sequential([keras.Input((4,), dtype="int64"), table])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (with_layer(Draws), "its operation RandomStandardNormal draws"),
        (with_layer(DrawsFromKeras), "a state that moves"),
        (with_layer(Counts), "its weight 'sequential/counts/variable' moves"),
        (with_layer(ReadsAVariable), "no Keras weight"),
        (with_layer(Rounds), "its operation FakeQuant.* rounds"),
        (with_layer(Sparse), "returns SparseTensor"),
        (quantised, "its layer 'dense.*' is quantised"),
        (masked, "carry a Keras mask"),
        (looked_up, "variable or table"),
    ],
)
def test_what_cannot_be_constant_runs_as_a_keras_model(make, reason, log):
    teacher = make()
    x = np.ones((5, 4), teacher.inputs[0].dtype)
    found, graph, plain = infer(teacher, x=x)
    assert not found.is_frozen
    assert log.text.count("runs as a Keras model") == 1
    assert log.records[-1].levelno == logging.INFO
    assert re.search(reason, log.text), log.text
    if "Draws" not in repr(teacher.layers) and not isinstance(plain[0], tf.SparseTensor):
        np.testing.assert_array_equal(graph[0], plain[0])


def test_masks_reach_the_losses():
    teacher = masked()
    found = TeacherInference(TappedModel(teacher, (), "teacher"), teacher, "auto")
    masks = []
    tf.function(lambda x: masks.append(found(x)[0]._keras_mask))(tf.ones((2, 4)))
    assert masks[0].shape == (2, 4)


def test_a_teacher_above_the_limit_of_a_graph_runs_as_a_keras_model(monkeypatch, log):
    monkeypatch.setattr(inference_graph, "MOST_BYTES", 100)
    found, graph, plain = infer(functional()[0])
    assert not found.is_frozen
    assert "bytes, more than 100" in log.text
    np.testing.assert_array_equal(graph[0], plain[0])


def test_a_graph_that_differs_is_not_used(monkeypatch, log):
    monkeypatch.setattr(inference, "TOLERANCE", 0.0)
    found, *_ = infer(functional()[0])
    assert not found.is_frozen
    assert "of the largest output on random inputs, more than" in log.text


def test_real_rows_decide_where_they_are_known(log):
    teacher, _ = functional()
    found = TeacherInference(TappedModel(teacher, (), "teacher"), teacher, "auto")
    found.offer_sample(images("uint8"))
    tf.function(found)(tf.constant(images()))
    assert "rows of x" in log.text


def test_under_a_strategy_and_in_python_it_runs_as_a_keras_model(log):
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        found, *_ = infer(functional()[0])
    assert not found.is_frozen
    assert "distribution strategy" in log.text
    teacher, _ = functional()
    found = TeacherInference(TappedModel(teacher, (), "teacher"), teacher, "auto")
    found(tf.constant(images()))
    assert not found.is_frozen
