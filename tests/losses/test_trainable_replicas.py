"""Layers that a loss owns, on two replicas: the weights of one device."""

import pytest

from tests import processes

SCRIPT = """
import contextlib, keras, kd_keras, numpy as np, tensorflow as tf
from kd_keras import losses

(cpu,) = tf.config.list_physical_devices("CPU")
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)

def net(width, name):
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(width, 3, activation="relu", name="conv")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x), name=name)

random = np.random.default_rng(0)
x, y = random.normal(size=(40, 6, 6, 1)), random.integers(0, 3, 40)

def train(scope):
    with scope:
        keras.utils.set_random_seed(3)
        terms = [kind("conv", "conv") for kind in (losses.Hint,
                 losses.VariationalInformation)]
        distiller = kd_keras.Distiller(net(5, "t"), net(4, "s"), terms)
        distiller.compile(keras.optimizers.SGD(0.1),
                          keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        distiller.fit(x, y, batch_size=8, shuffle=False, verbose=0)
        return [np.asarray(v) for v in distiller.trainable_variables]

one = train(contextlib.nullcontext())
both = train(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope())
assert len(one) == 4 + 2 + 4
for a, b in zip(one, both, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
print("EQUAL")
"""


@pytest.mark.slow
def test_two_replicas_train_the_layers_of_losses_as_one_device_does():
    assert processes.run(SCRIPT) == "EQUAL\n"
