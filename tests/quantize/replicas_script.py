"""Train a quantisation-aware student on two replicas; print the losses, and whether ranges moved.

Logical devices must be set up before TensorFlow starts, hence a process of its own.
"""

import json
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

import kd_keras

cpus = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2)


keras.utils.set_random_seed(0)
images = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 1)).astype("float32")
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    teacher = kd_keras.models.mlp((8, 8, 1), 3, hidden=(8,))
    student = kd_keras.models.mlp((8, 8, 1), 3, hidden=(8,))
    copy = kd_keras.quantize.quantization_aware(student, images)
    logits = copy.get_layer("logits")
    before = float(keras.ops.convert_to_numpy(logits.high))
    distiller = kd_keras.Distiller(teacher, copy, kd_keras.losses.KLDivergence(2.0))
    distiller.compile(
        keras.optimizers.SGD(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
history = distiller.fit(images, np.arange(64) % 3, epochs=3, batch_size=32, verbose=0).history
print(
    json.dumps(
        [
            history["loss"][0],
            history["loss"][-1],
            float(keras.ops.convert_to_numpy(logits.high)) != before,
        ]
    )
)
