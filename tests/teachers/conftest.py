"""Small teachers and students of 12 rows of 5 numbers."""

import keras
import numpy as np
import pytest

from tests.conftest import sparse_crossentropy


@pytest.fixture(scope="session")
def rows():
    """12 rows of 5 numbers, and their labels in 0..2."""
    return np.random.default_rng(0).normal(size=(12, 5)).astype("float32"), np.arange(12) % 3


@pytest.fixture
def make_mlp():
    """A factory of perceptrons of 5 numbers and 3 classes."""

    def build(name, *, width=4, units=3, activation=None):
        hidden = keras.layers.Dense(width, activation="relu", name="hidden")
        last = keras.layers.Dense(units, activation=activation, name="logits")
        return keras.Sequential([keras.Input((5,)), hidden, last], name=name)

    return build


@pytest.fixture
def make_constant():
    """A factory of teachers that say the same of every row of 5 numbers: these probabilities."""

    def build(*probabilities):
        bias = keras.initializers.Constant(np.log(probabilities))
        layer = keras.layers.Dense(
            len(probabilities), kernel_initializer="zeros", bias_initializer=bias
        )
        return keras.Sequential([keras.Input((5,)), layer])

    return build


@pytest.fixture
def fitted():
    """Train a Distiller for two epochs of two batches; returns what it logged."""

    def fit(distiller, rows, loss=None, **options):
        distiller.compile(keras.optimizers.SGD(0.1), loss or sparse_crossentropy(), **options)
        return distiller.fit(*rows, batch_size=6, epochs=2, shuffle=False, verbose=0).history

    return fit
