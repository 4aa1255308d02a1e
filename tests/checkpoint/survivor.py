"""A script as a person would write it: it is killed, started again, and says after each step so.

python survivor.py RESULT [CHECKPOINT]
"""

import sys

import keras
import numpy as np
import tensorflow as tf

import kd_keras

EPOCHS, STEPS = 16, 5


class CountedNoise(keras.layers.Layer):
    """Noise from a seed generator of its own, which no layer of Keras would forget."""

    def __init__(self):
        super().__init__()
        self.seed_generator = keras.random.SeedGenerator(7)

    def call(self, x, training=False):
        return x + 0.1 * keras.random.normal(keras.ops.shape(x), seed=self.seed_generator)


class Steps(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        print("step", flush=True)


def network(name, width, noise):
    layers = [keras.Input((6, 6, 1)), keras.layers.Rescaling(1 / 255)]
    layers += [keras.layers.Conv2D(width, 3), keras.layers.BatchNormalization()]
    layers += [CountedNoise(), keras.layers.Dropout(0.3)] if noise else []
    layers += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)]
    return keras.Sequential(layers, name=name)


def main(result, path=None):
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    x, y = random.integers(0, 256, (40, 6, 6, 1)).astype("uint8"), random.integers(0, 3, 40)
    examples = tf.data.Dataset.from_tensor_slices((x, y))
    distiller = kd_keras.Distiller(
        network("teacher", 8, noise=False),
        network("student", 4, noise=True),
        kd_keras.losses.KLDivergence(4.0),
        augmentation=kd_keras.augment.named("cutmix", seed=3),
    )
    distiller.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    # The unbroken run has no checkpoint to write: that it writes one changes nothing.
    checkpoint = kd_keras.Checkpoint(path or "never-written", every_steps=2)
    history = distiller.fit(
        checkpoint.epochs(lambda epoch: examples.shuffle(40, seed=epoch).batch(8)),
        steps_per_epoch=STEPS,
        epochs=EPOCHS,
        verbose=0,
        callbacks=[Steps(), checkpoint] if path else [],
    ).history
    state = [*distiller.student.variables, *distiller.optimizer.variables, distiller.step]
    arrays = {f"variable {i} {v.path}": np.asarray(v) for i, v in enumerate(state)}
    np.savez(result, **arrays, **{f"log {name}": values for name, values in history.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
