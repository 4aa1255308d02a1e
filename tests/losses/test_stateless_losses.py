"""Losses without layers of their own, together in a distiller: ours and that of Keras."""

import keras
import numpy as np
import pytest

import kd_keras
from tests.conftest import sparse_crossentropy
from tests.losses.test_properties import CASES, LOGITS, MAPS, VECTORS, WITHOUT_LAYERS

# The four between logits have tests of their own in a distiller.
NAMES = WITHOUT_LAYERS[4:]


def net(width, name):
    """Maps, a pooled vector and the logits of six classes."""
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(width, 3, activation="relu", name="maps")(inputs)
    x = keras.layers.GlobalAveragePooling2D(name="vector")(x)
    return keras.Model(inputs, keras.layers.Dense(6, name="logits")(x), name=name)


def taps(name):
    return {MAPS: "maps", VECTORS: "vector", LOGITS: "logits"}[CASES[name][2]]


def with_taps(names):
    """The losses on layers; several of one class would be logged with numbers."""
    return [
        CASES[name][0](
            **CASES[name][1], teacher_layer_name=taps(name), student_layer_name=taps(name)
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
    distiller = kd_keras.Distiller(net(7, "t"), net(4, "s"), with_taps(NAMES), combine="sum")
    distiller.compile("sgd", sparse_crossentropy(), jit_compile=False)
    logs = distiller.test_step((x, y, weight))
    for name, loss in zip(NAMES, with_taps(NAMES), strict=True):
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
    names = [name for name in NAMES if name != "decoupled_kd"]  # it needs labels, and says so
    theirs = keras.distillation.Distiller(net(7, "t"), net(4, "s"), with_taps(names))
    theirs.compile("sgd", loss=sparse_crossentropy(), run_eagerly=True)
    history = theirs.fit(x, y, batch_size=5, verbose=0).history
    assert np.isfinite(history["distillation_loss"]).all()
