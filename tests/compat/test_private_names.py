"""Fails where a new Keras or TensorFlow has moved a private name that the package works around."""

import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.compat import strategy, structure
from kd_keras.compat.keras_cv_layers import replace_generator, replace_map
from kd_keras.compat.model import OpenModel, flat_layers, takes_training
from kd_keras.compat.variables import TooLargeError, bounded_variables

ROOT = pathlib.Path(kd_keras.__file__).parent


def functional():
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(3, name="hidden")
    return keras.Model(inputs, keras.layers.Dense(2, name="last")(hidden(inputs)))


def test_no_other_room_reaches_into_keras_or_tensorflow():
    private = re.compile(
        r"keras\.src|tensorflow\.python"
        r"|_(flatten_layers|symbolic_build|keras_mask|keras_history|initial_epoch)\b"
        # A layer's own is what keras-cv hands on to it.
        r"|(?<!self\.)_(random_generator|map_fn)\b"
    )
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in ROOT.rglob("*.py")
        if path.parent.name != "compat"
        for line in path.read_text(encoding="utf-8").splitlines()
        if private.search(line)
    ]
    assert not found


class Watching(OpenModel):
    """Notes which of its public hooks Keras calls through the private ones."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.called = []

    def call(self, x):
        return self.inner(x)

    def step_as_function(self, step_function):
        self.called.append("step_as_function")
        with self.without_jit():
            assert self.jit_compile is False
            return super().step_as_function(step_function)

    def build_from_batch(self, iterator=None, data_batch=None):
        self.called.append("build_from_batch")
        return super().build_from_batch(iterator=iterator, data_batch=data_batch)

    def look_at_data(self, iterator=None, data_batch=None):
        self.called.append("look_at_data")
        return super().look_at_data(iterator=iterator, data_batch=data_batch)

    def results_of_pass(self, logs):
        self.called.append("results_of_pass")
        return super().results_of_pass(logs)


def test_keras_calls_the_hooks_of_its_loop():
    model = Watching(functional())
    model.compile("sgd", "mse", metrics=["mae"])
    x, y = np.ones((4, 4), "float32"), np.zeros((4, 2), "float32")
    history = model.fit(x, y, verbose=0).history
    assert set(history) == {"loss", "mae"}
    assert {"step_as_function", "look_at_data", "results_of_pass"} <= set(model.called)
    assert model.compiled_loss is not None
    assert model.compiled_metrics_container.built
    assert model.loss_tracker.name == "loss"
    model.forget_compilation()
    assert model.compiled_loss is None and model.compiled_metrics_container is None


def test_a_strategy_has_keras_build_symbolically_before_the_loop():
    mirrored = tf.distribute.MirroredStrategy(["CPU:0"])
    with mirrored.scope():
        model = Watching(functional())
        model.compile("sgd", "mse")
    model.fit(np.ones((4, 4), "float32"), np.zeros((4, 2), "float32"), verbose=0)
    assert "build_from_batch" in model.called


def test_what_an_attribute_held_is_let_go_of():
    model = Watching(functional())
    before = model.inner
    model.inner = functional()
    assert {id(w) for w in model.weights} == {id(w) for w in model.inner.weights}
    assert not {id(w) for w in before.weights} & {id(w) for w in model.weights}
    model.keep("parts", [keras.layers.Dense(1)])
    model.keep("parts", [keras.layers.Dense(2)])
    assert [layer for layer in flat_layers(model) if isinstance(layer, keras.layers.Dense)][
        -1
    ].units == 2
    assert sum(getattr(layer, "units", 0) == 1 for layer in flat_layers(model)) == 0


def test_layers_inside_layers_are_found_and_training_is_known():
    inner = functional()
    outer = keras.Sequential([keras.Input((4,)), inner, keras.layers.Dropout(0.1)])
    names = {layer.name for layer in flat_layers(outer)}
    assert {"hidden", "last", inner.name} <= names
    assert outer not in flat_layers(outer, include_self=False)
    assert takes_training(keras.layers.Dropout(0.1))
    assert not takes_training(keras.layers.Rescaling(2.0))


def test_the_graph_of_a_model_can_be_read_and_called_again():
    model = functional()
    assert structure.is_plain_functional(model) and structure.has_graph(model)
    assert structure.is_plain_functional(keras.Sequential([keras.layers.Dense(1)]))
    assert not structure.is_plain_functional(Watching(model))
    (node,) = structure.calls_in(model, model.get_layer("hidden"))
    assert node.output_tensors[0].shape == (None, 3)
    assert structure.producer(model.output).name == "last"
    assert structure.place_in_producer(model.output) == 0
    assert structure.producer(np.ones(1)) is None
    called = []

    def call(operation, *args, **kwargs):
        called.append(operation.name)
        return operation(*args, **kwargs)

    outputs = structure.called_again(model, keras.Input((4,)), call)
    assert outputs.shape == (None, 2) and called[-2:] == ["hidden", "last"]
    sequential = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    assert structure.has_graph(structure.functional(sequential))


def test_a_dict_of_inputs_is_seen():
    inputs = {"a": keras.Input((4,), name="a")}
    assert structure.takes_dict(keras.Model(inputs, keras.layers.Dense(1)(inputs["a"])))
    assert not structure.takes_dict(functional())


def test_masks_and_compiled_losses_are_where_they_were():
    masking = keras.layers.Masking()
    x = np.array([[[0.0], [1.0]]], "float32")
    np.testing.assert_array_equal(structure.mask_of(masking(x)), [[False, True]])
    moved = structure.with_mask(tf.ones((1, 2, 3)), structure.mask_of(masking(x)))
    loss = keras.losses.MeanAbsoluteError()
    assert float(loss(tf.constant([[[0.0] * 3, [5.0] * 3]]), moved)) == pytest.approx(4.0)
    model = functional()
    model.compile("sgd", loss)
    y = np.zeros((1, 2), "float32")
    assert structure.first_of_compiled(model._compile_loss, y, y) is loss
    assert structure.first_of_compiled(loss, y, y) is loss


def test_the_stack_of_modes_is_where_it_was():
    """What it does with two replicas, tests/distiller/test_distribution.py shows."""
    from tensorflow.python.distribute import distribute_lib

    real = tf.distribute.get_strategy()
    context = tf.distribute.get_replica_context()
    mode = distribute_lib._ThreadMode(strategy._CountsOne(real), None, context)
    distribute_lib._push_per_thread_mode(mode)
    try:
        assert tf.distribute.get_strategy() is mode.strategy
        assert tf.distribute.get_strategy().extended is real.extended
        assert tf.distribute.get_replica_context() is context
    finally:
        distribute_lib._pop_per_thread_mode()
    assert tf.distribute.get_strategy() is real
    with strategy.as_if_alone():
        assert tf.distribute.get_strategy() is real


def test_the_global_seed_can_be_read():
    tf.random.set_seed(3)
    assert strategy.has_global_seed()
    assert strategy.local_spec(tf.TensorSpec((2,))) == tf.TensorSpec((2,))
    assert strategy.local_spec(tf.OptionalSpec(tf.TensorSpec(()))) is None


def test_layers_of_keras_cv_keep_their_randomness_where_it_is_replaced():
    import keras_cv

    layer = keras_cv.layers.RandomCutout(0.5, 0.5)
    replaced = []
    replace_generator(layer, lambda generator: replaced.append(generator) or generator)
    assert isinstance(replaced[0], tf.random.Generator)

    class Mapping:
        def __init__(self, owner, mapping):
            assert owner is per_image and callable(mapping)

    per_image = keras_cv.layers.BaseImageAugmentationLayer()
    replace_map(per_image, Mapping, Mapping)
    replace_map(per_image, Mapping, lambda *_: pytest.fail("it is of the kind already"))
    assert isinstance(per_image._map_fn, Mapping)


def test_operators_of_symbolic_tensors_are_these_operations():
    x = keras.Input((4, 2))
    for made in (x + x, x - x, x * 2.0):
        assert type(structure.producer(made)) in structure.ELEMENTWISE
    moved = (
        keras.ops.reshape(x, (-1, 8)),
        keras.ops.transpose(x, (0, 2, 1)),
        x[:, 0],
        keras.ops.expand_dims(x, -1),
        keras.ops.squeeze(x[:, :1], 1),
    )
    for made in moved:
        assert type(structure.producer(made)) in structure.MOVING


def test_keras_tells_how_large_a_variable_is_before_it_is_made():
    with bounded_variables(4 * (4 * 3 + 3 + 3 * 2 + 2)):
        functional()
    with pytest.raises(TooLargeError, match="declare 92 bytes"), bounded_variables(91):
        functional()
    with pytest.raises(TooLargeError, match="declare 144,"), bounded_variables(2**20):
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(9 * 10**9)])
