"""Train from one recording on one device and on two replicas; print the losses and an error."""

import contextlib
import json
import sys

import keras
import tensorflow as tf

import kd_keras
from kd_keras.replay import ReplayTeacher
from tests.replay.conftest import policy

devices = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(devices[0], [tf.config.LogicalDeviceConfiguration()] * 2)


def student():
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
    )


folder, data_dir = sys.argv[1:]
data = kd_keras.data.load("digits", data_dir=data_dir, batch_size=64, limit=500)
found = {}
for name, strategy in (
    ("one", None),
    ("two", tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])),
):
    with strategy.scope() if strategy else contextlib.nullcontext():
        replay = ReplayTeacher(folder)
        loss = kd_keras.losses.KLDivergence(4.0)
        distiller = kd_keras.Distiller(replay, student(), loss, augmentation=policy())
        distiller.compile(
            keras.optimizers.SGD(0.0001),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
    batches = replay.training(data)
    found[name] = distiller.fit(batches, steps_per_epoch=8, epochs=2, verbose=0).history["loss"]
distiller.step.assign(0)
swapped = batches.map(lambda x, y: ({**x, "images": tf.reverse(x["images"], [0])}, y))
try:
    distiller.fit(swapped, steps_per_epoch=8, verbose=0)
except ValueError as error:
    found["error"] = str(error)
print(json.dumps(found))
