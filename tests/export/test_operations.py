"""Multiply-accumulates and parameters, by hand and as TensorFlow's own profiler counts them."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from kd_keras import export

CONVOLUTION = 8 * 8 * 8 * 27
DEPTHWISE = 8 * 8 * 16 * 9
VALID = 6 * 6 * 12 * 9 * 16
DENSE = 12 * 10


@pytest.fixture(scope="module")
def float_model():
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
            keras.layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
            keras.layers.Conv2D(12, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10),
        ]
    )
    for weight in model.weights:  # The converter drops a bias of zeros.
        weight.assign(np.random.default_rng(0).uniform(0.1, 1, weight.shape))
    return model


@pytest.fixture(scope="module")
def float_file(float_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("counted") / "float.tflite"
    export.to_tflite(float_model, path, input_range=(0, 1))
    return path


def test_convolutions_and_dense_layers_by_hand(float_model, float_file):
    counted = export.count_operations(float_file)

    assert counted.macs == CONVOLUTION + DEPTHWISE + VALID + DENSE
    assert counted.flops == 2 * counted.macs
    assert counted.uncounted == ()
    assert counted.parameters == float_model.count_params()


def test_tensorflows_profiler_counts_the_same(float_model, float_file):
    function = tf.function(lambda x: float_model(x, training=False)).get_concrete_function(
        tf.TensorSpec((1, 16, 16, 3))
    )
    graph = convert_variables_to_constants_v2(function).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    node = tf.compat.v1.profiler.profile(graph, cmd="op", options=options)
    flops = {}
    while node.children:
        node = node.children[0]
        flops[node.name] = node.float_ops

    assert flops["DepthwiseConv2dNative"] == 2 * DEPTHWISE
    assert flops["MatMul"] == 2 * DENSE
    products = sum(flops[name] for name in ("Conv2D", "DepthwiseConv2dNative", "MatMul"))
    assert export.count_operations(float_file).flops == products


def test_an_int8_file_of_fixed_batch_size_counts_the_same_for_one_image(
    float_model, float_file, tmp_path
):
    images = np.random.default_rng(0).uniform(0, 1, (100, 16, 16, 3))
    export.to_tflite(
        float_model, tmp_path / "int8.tflite", "int8", images, input_range=(0, 1), batch_size=4
    )

    assert export.count_operations(tmp_path / "int8.tflite") == export.count_operations(float_file)


def test_products_of_activations_and_sequences_by_hand_and_a_loop_is_named(tmp_path):
    inputs = keras.Input((6, 4))
    x = keras.layers.Dense(5, use_bias=False)(inputs)
    attention = keras.ops.matmul(x, keras.ops.transpose(x, (0, 2, 1)))
    up = keras.layers.Conv2DTranspose(3, 2, strides=2)(keras.layers.Reshape((6, 4, 1))(inputs))
    grouped = keras.layers.Conv2D(4, 3, groups=2)(keras.layers.Reshape((3, 4, 2))(inputs))
    loop = keras.layers.SimpleRNN(3)(inputs)
    model = keras.Model(inputs, [attention, up, grouped, loop])
    export.to_tflite(model, tmp_path / "model.tflite", batch_size=1)

    counted = export.count_operations(tmp_path / "model.tflite")

    products = 6 * 4 * 5 + 6 * 6 * 5
    convolutions = (6 * 4 * 1) * (2 * 2) * 3 + (1 * 2 * 4) * (3 * 3) * 1
    assert counted.uncounted == ("WHILE",)
    assert counted.macs == products + convolutions


def test_sequences_of_open_batch_size_by_hand(tmp_path):
    model = keras.Sequential([keras.Input((5, 12)), keras.layers.Dense(7)])
    export.to_tflite(model, tmp_path / "model.tflite")

    assert export.count_operations(tmp_path / "model.tflite").macs == 5 * 12 * 7
