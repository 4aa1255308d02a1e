"""Peak memory of activations, against sums worked out by hand."""

from __future__ import annotations

import keras
import pytest
import tensorflow as tf

from kd_keras import export
from kd_keras.cli import main

FLOAT = 4


def dense_chain(sizes):
    layers = [keras.layers.Dense(size, activation="relu") for size in sizes[1:]]
    return keras.Sequential([keras.Input((sizes[0],)), *layers])


@pytest.mark.parametrize(
    ("sizes", "coexisting"),
    [
        # TFLite keeps the input, and an operator's input and output live at the same time.
        ((64, 32, 32), 64 + 32 + 32),
        # The last output takes the place of the first hidden tensor, which nobody reads any more.
        ((512, 256, 256, 16), 512 + 256 + 256),
    ],
)
def test_the_peak_is_the_largest_sum_of_tensors_that_live_at_the_same_time(
    sizes, coexisting, tmp_path
):
    export.to_tflite(dense_chain(sizes), tmp_path / "chain.tflite")

    assert export.arena_bytes(tmp_path / "chain.tflite") == coexisting * FLOAT


def test_a_branch_that_waits_for_its_partner_is_counted_as_long_as_it_waits(tmp_path):
    inputs = keras.Input((16, 16, 4))
    x = keras.layers.AveragePooling2D(1)(inputs)
    waiting = keras.layers.AveragePooling2D(1)(x)
    x = keras.layers.AveragePooling2D(1)(keras.layers.AveragePooling2D(1)(waiting))
    model = keras.Model(inputs, keras.layers.Add()([waiting, x]))
    export.to_tflite(model, tmp_path / "branch.tflite")

    # At the end: the input, what waited, its partner and their sum.
    assert export.arena_bytes(tmp_path / "branch.tflite") == 4 * (16 * 16 * 4) * FLOAT


def test_weights_are_not_counted_and_int8_activations_take_a_quarter(photos, tmp_path):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.MaxPooling2D(1)(inputs)
    x = keras.layers.MaxPooling2D(1)(x)
    x = keras.layers.Dense(2, use_bias=False)(keras.layers.Flatten()(x))
    model = keras.Model(inputs, x)
    export.to_tflite(model, tmp_path / "float.tflite", batch_size=1)
    export.to_tflite(model, tmp_path / "int8.tflite", "int8", photos, batch_size=1)

    image = 8 * 8 * 3
    assert export.arena_bytes(tmp_path / "float.tflite") == 3 * image * FLOAT
    # The input stays float32.
    assert export.arena_bytes(tmp_path / "int8.tflite") == image * FLOAT + 2 * image


@pytest.fixture(scope="module")
def counting(tmp_path_factory):
    """A file of another tool that adds up its inputs in a variable."""

    class Counter(tf.Module):
        def __init__(self):
            self.total = tf.Variable(tf.zeros((1, 4)))

        @tf.function(input_signature=[tf.TensorSpec((1, 4))])
        def step(self, x):
            return self.total.assign_add(x)

    counter = Counter()
    step = counter.step.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([step], counter)
    converter.experimental_enable_resource_variables = True
    path = tmp_path_factory.mktemp("counting") / "counting.tflite"
    path.write_bytes(converter.convert())
    return path


def test_a_file_with_a_state_is_measured_like_any_other(counting, capfd):
    # A variable's handle has no place in memory: to ask for it ended the process.
    assert 2 * 4 * FLOAT <= export.arena_bytes(counting) <= 4 * 64
    assert main(["benchmark", str(counting), "--runs", "2", "--warmup", "0"]) == 0
    assert "counting.tflite" in capfd.readouterr().out


def test_a_state_that_nothing_sets_is_named(tmp_path):
    # TensorFlow's own converter writes such files of Keras's LSTM.
    recurrent = keras.layers.LSTM(2)
    function = tf.function(recurrent).get_concrete_function(tf.TensorSpec((1, 3, 2)))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], recurrent)
    unset = tmp_path / "unset.tflite"
    unset.write_bytes(converter.convert())

    for measure in (export.arena_bytes, export.latency, lambda path: export.race([path])):
        with pytest.raises(ValueError, match=r"READ_VARIABLE.*set its state.*unset\.tflite"):
            measure(unset)
