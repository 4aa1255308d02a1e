"""A network that computes its blocks again is the same network, with less kept in between."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.losses import KLDivergence
from tests.conftest import sparse_crossentropy

SMALL = {"input_shape": (8, 8, 1), "num_classes": 3, "seed": 1}


def resnet(**kwargs):
    return kd_keras.models.resnet(**SMALL, depth=8, width=4, **kwargs)


def forward_convolutions(model, x):
    @tf.function
    def gradients(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(x, training=True))
        return tape.gradient(loss, model.trainable_variables)

    graph = gradients.get_concrete_function(tf.constant(x)).graph.as_graph_def()
    bodies = [graph.node, *(function.node_def for function in graph.library.function)]
    return sum(node.op == "Conv2D" for body in bodies for node in body)


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    return random.uniform(0, 255, (16, 8, 8, 1)).astype("float32"), np.arange(16) % 3


@pytest.mark.slow
def test_it_trains_to_the_same_weights_and_statistics(data, tmp_path):
    x, y = data
    histories, students = [], []
    for rematerialize in (False, True):
        student = resnet(rematerialize=rematerialize)
        tap = keras.distillation.FeatureDistillation("mse", "stage2_out", "stage2_out")
        distiller = kd_keras.Distiller(resnet(), student, [KLDivergence(2.0), tap])
        distiller.compile(keras.optimizers.SGD(0.1), sparse_crossentropy())
        histories.append(distiller.fit(x, y, batch_size=8, shuffle=False, verbose=0).history)
        students.append(student)
    for name, values in histories[0].items():
        np.testing.assert_allclose(values, histories[1][name], rtol=1e-4, err_msg=name)
    plain, saving = (student.get_weights() for student in students)
    for a, b in zip(plain, saving, strict=True):  # batch statistics moved once, too
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    path = tmp_path / "student.keras"
    students[1].save(path)
    loaded = keras.models.load_model(path)
    np.testing.assert_array_equal(loaded(x), students[1](x))


@pytest.mark.slow
@pytest.mark.parametrize("build", [resnet, lambda **kw: kd_keras.models.mobilenet(**SMALL, **kw)])
def test_the_blocks_are_computed_again(build, data):
    x, _ = data
    plain, saving = build(), build(rematerialize=True)
    outside = 1 if build is resnet else 2  # the stem, and the head of a MobileNet
    kernels = sum(isinstance(layer, keras.layers.Conv2D) for layer in plain.layers)
    found = forward_convolutions(plain, x), forward_convolutions(saving, x)
    assert found[0] >= kernels
    assert found[1] - found[0] >= kernels - outside
    np.testing.assert_array_equal(plain(x), saving(x))
