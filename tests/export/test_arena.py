"""Peak memory of activations, against sums worked out by hand."""

from __future__ import annotations

import keras
import pytest

from kd_keras import export

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
