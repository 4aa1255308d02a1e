"""Telling logits from probabilities by a model's graph."""

import keras
import pytest

from kd_keras.losses.contract.output_kind import output_kind


def functional(last):
    inputs = keras.Input((4,))
    return keras.Model(inputs, last(keras.layers.Dense(5, name="hidden")(inputs)))


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        (keras.layers.Dense(3), "logits"),
        (keras.layers.Dense(3, activation="softmax"), "probabilities"),
        (keras.layers.Dense(1, activation="sigmoid"), "probabilities"),
        (keras.layers.Softmax(), "probabilities"),
        (keras.layers.Activation("softmax"), "probabilities"),
        (keras.ops.softmax, "probabilities"),
        (lambda x: keras.layers.Reshape((5, 1))(keras.layers.Softmax()(x)), "probabilities"),
        (lambda x: keras.layers.Dropout(0.1)(keras.layers.Dense(3)(x)), "logits"),
        (keras.layers.Dense(3, activation="relu"), None),
        (keras.layers.BatchNormalization(), None),
    ],
)
def test_the_last_operation_decides(last, kind):
    assert output_kind(functional(last)) == kind


def test_nested_and_sequential_models_are_looked_into():
    inner = functional(keras.layers.Softmax())
    inputs = keras.Input((4,))
    assert output_kind(keras.Model(inputs, inner(inputs))) == "probabilities"
    sequential = keras.Sequential([keras.layers.Dense(3)])
    assert output_kind(sequential) is None
    sequential.build((None, 4))
    assert output_kind(sequential) == "logits"


def test_a_named_layer_or_output_is_judged_by_itself():
    model = functional(keras.layers.Softmax())
    assert output_kind(model, "hidden") == "logits"
    inputs = keras.Input((4,))
    logits = keras.layers.Dense(3)(inputs)
    two = keras.Model(inputs, {"logits": logits, "scores": keras.layers.Softmax()(logits)})
    assert output_kind(two, "logits") == "logits"
    assert output_kind(two, "scores") == "probabilities"


def test_subclassed_models_do_not_tell():
    class Subclassed(keras.Model):
        def call(self, inputs):
            return keras.ops.softmax(inputs)

    assert output_kind(Subclassed()) is None
