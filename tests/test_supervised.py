"""`Supervised`: the Distiller without a teacher."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.training.supervised import Supervised
from tests.conftest import sparse_crossentropy


def compiled(model, optimizer=None):
    model.compile(optimizer or keras.optimizers.SGD(0.05, momentum=0.9), sparse_crossentropy())
    return model


def noisy():
    # One policy for each model: policies keep no state, and the test would hide it if they did.
    from kd_keras.augment import GaussianNoise, Policy

    return Policy([GaussianNoise(0.1)], seed=5)


def mixing():
    from kd_keras.augment import mixup

    return mixup(seed=5)


@pytest.mark.parametrize(
    "make_policy",
    [
        pytest.param(lambda: None, marks=pytest.mark.slow),
        noisy,
        pytest.param(mixing, marks=pytest.mark.slow),
    ],
)
def test_it_trains_as_a_distiller_whose_teacher_has_no_weight(images, make_net, make_policy):
    x, y = images
    alone, taught = make_net(), make_net()
    taught.set_weights(alone.get_weights())
    supervised = compiled(Supervised(alone, make_policy()))
    distiller = compiled(
        kd_keras.Distiller(
            make_net(8, "teacher"),
            taught,
            kd_keras.losses.KLDivergence(4.0),
            student_loss_weight=1.0,
            augmentation=make_policy(),
        )
    )
    logs = supervised.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0).history
    expected = distiller.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0).history
    for mine, theirs in zip(alone.get_weights(), taught.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(logs["loss"], expected["loss"], rtol=1e-5)
    assert int(supervised.step) == int(distiller.step) == 6


def test_a_step_is_that_of_plain_keras_where_there_is_no_augmentation(images, make_net):
    x, y = images
    plain, network = make_net(), make_net()
    plain.set_weights(network.get_weights())
    compiled(plain)
    model = compiled(Supervised(network))
    expected = plain.fit(x, y, batch_size=40, epochs=2, verbose=0).history["loss"]
    logs = model.fit(x, y, batch_size=40, epochs=2, verbose=0).history["loss"]
    np.testing.assert_allclose(logs, expected, rtol=1e-6)
    for mine, theirs in zip(network.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


def test_the_loss_of_an_epoch_is_the_mean_over_its_examples(make_net):
    # A last batch of one example counts as one example.
    network = make_net(norm=False)
    model = compiled(Supervised(network), keras.optimizers.SGD(0.0))
    x, y = np.ones((5, 6, 6, 1), "float32"), np.array([0, 0, 0, 0, 1])
    x[4] = 255.0
    whole = model.fit(x, y, batch_size=5, verbose=0).history["loss"]
    parts = model.fit(x, y, batch_size=4, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(parts, whole, rtol=1e-6)


def test_evaluation_takes_the_data_as_given_and_moves_nothing(images, make_net):
    def refuse(x):
        raise AssertionError("evaluation must not augment")

    network = make_net()
    before = network.get_weights()
    model = compiled(Supervised(network, refuse))
    model.evaluate(*images, verbose=0)
    for mine, theirs in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert int(model.step) == 0


def test_a_loss_that_is_not_finite_stops_with_the_last_good_state(images, make_net):
    x, y = images
    network = make_net(dropout=0.5)
    model = compiled(Supervised(network))
    model.fit(x, y, batch_size=40, verbose=0)
    good = [keras.ops.convert_to_numpy(v) for v in network.variables]
    bad = x.copy()
    bad[3] = np.nan
    with pytest.raises(kd_keras.NonFiniteLossError, match="loss=nan"):
        model.fit(bad, y, batch_size=40, verbose=0)
    for variable, value in zip(network.variables, good, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value)
    assert int(model.step) == 1


def test_xla_never_compiles_the_augmentation(images, make_net):
    from kd_keras.augment import named

    # keras-cv's rotation has no XLA kernel.
    model = Supervised(make_net(), named("digits"))
    model.compile("sgd", sparse_crossentropy(), jit_compile="auto")
    assert not model.jit_compile  # Keras's own rule on a CPU
    model.compile("sgd", sparse_crossentropy(), jit_compile=True)
    x, y = images
    model.fit(x, y, batch_size=40, verbose=0)
    assert model._loop._jitted_core.experimental_get_tracing_count() == 1


def test_a_mixing_policy_needs_a_loss_that_averages(images, make_net):
    model = Supervised(make_net(), mixing())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    model.compile("sgd", loss)
    with pytest.raises(ValueError, match="reduction='sum'"):
        model.fit(tf.data.Dataset.from_tensor_slices(images).batch(40), verbose=0)


@pytest.mark.parametrize("scale", [True, False])
def test_a_float16_network_gets_loss_scaling(scale):
    dense = keras.layers.Dense(3, kernel_initializer="zeros", dtype="mixed_float16")
    model = Supervised(keras.Sequential([keras.Input((4,)), dense]))
    model.compile(keras.optimizers.SGD(1e7), sparse_crossentropy(), auto_scale_loss=scale)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == scale
    # Without scaling, gradients of this size are zero in float16.
    x, y, weight = np.ones((128, 4), "float32"), np.zeros(128), np.full(128, 1e-6, "float32")
    model.fit(x, y, sample_weight=weight, batch_size=128, verbose=0)
    assert bool(np.any(dense.get_weights()[0])) == scale


def test_data_without_labels_are_named(images, make_net):
    model = compiled(Supervised(make_net()))
    with pytest.raises(ValueError, match="no labels.*labels alone teach here.*Pass labels"):
        model.fit(images[0], verbose=0)
