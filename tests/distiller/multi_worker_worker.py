"""One of two workers: train on both, and half of it on one device (see test_multi_worker).

`multi_worker_worker.py cases` prints what came out as JSON. `multi_worker_worker.py job FOLDER`
trains with a backup in FOLDER; with a number behind it, the worker of that number kills itself.
"""

import contextlib
import functools
import json
import os
import signal
import sys
import tempfile

import distribution_worker as one_process
import keras
import tensorflow as tf

import kd_keras
from kd_keras.training.supervised import Supervised

STRATEGY = tf.distribute.MultiWorkerMirroredStrategy()  # before TensorFlow computes anything
RANK = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
X, Y, WEIGHT = one_process.X, one_process.Y, one_process.WEIGHT
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def dataset(examples, shuffle=False):
    examples = tf.data.Dataset.from_tensor_slices((X[:examples], Y[:examples]))
    return (examples.shuffle(100, seed=3) if shuffle else examples).batch(8)


def outcome(model, network, history, data):
    return {
        "history": history.history,
        "evaluation": model.evaluate(data, verbose=0, return_dict=True),
        "weights": [weight.tolist() for weight in network.get_weights()],
        "step": int(model.step.numpy()),
    }


def alone(strategy, norm="synchronized"):
    """The student without a teacher, with batch normalisation in it."""
    keras.utils.set_random_seed(1)
    with strategy.scope() if strategy else contextlib.nullcontext():
        network = one_process.net(norm)
        model = Supervised(network, kd_keras.augment.named("mixup", seed=5))
        model.compile(keras.optimizers.SGD(0.1), LOSS, metrics=["accuracy"])
    history = model.fit(dataset(40), epochs=2, verbose=0)
    return outcome(model, network, history, dataset(40))


def small_distiller(strategy, jit_compile=False, **options):
    with strategy.scope() if strategy else contextlib.nullcontext():
        student = one_process.dense_net()
        kl = kd_keras.losses.KLDivergence(2.0)
        distiller = kd_keras.Distiller(one_process.dense_net(), student, kl, **options)
        distiller.compile(
            keras.optimizers.Adam(0.01), LOSS, metrics=["accuracy"], jit_compile=jit_compile
        )
    return distiller, student


def shuffled(strategy):
    """Shuffled with a seed; the validation ends with one example, so one worker has none."""
    keras.utils.set_random_seed(1)
    # A schedule has a log of its own in training that evaluation does not have.
    weight = keras.optimizers.schedules.PolynomialDecay(1.0, 10, 0.2)
    distiller, student = small_distiller(strategy, distillation_loss_weights=[weight])
    history = distiller.fit(
        dataset(40, shuffle=True), validation_data=dataset(33), epochs=2, verbose=0
    )
    return outcome(distiller, student, history, dataset(33))


def arrays(strategy):
    """Arrays, which Keras shuffles, and XLA."""
    keras.utils.set_random_seed(1)
    distiller, student = small_distiller(strategy, jit_compile=True)
    history = distiller.fit(X, Y, batch_size=8, epochs=2, verbose=0)
    return outcome(distiller, student, history, dataset(40))


def loaded(strategy):
    """Data of `kd_keras.data`."""
    keras.utils.set_random_seed(1)
    data = kd_keras.data.load("digits", batch_size=50, limit=200, validation_fraction=0.01)
    with strategy.scope() if strategy else contextlib.nullcontext():
        networks = [
            keras.Sequential(
                [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
            )
            for _ in range(2)
        ]
        distiller = kd_keras.Distiller(*networks, kd_keras.losses.KLDivergence(2.0))
        distiller.compile(keras.optimizers.Adam(0.01), LOSS, metrics=["accuracy"])
    history = distiller.fit(data.train, epochs=2, verbose=0)
    return outcome(distiller, networks[1], history, data.validation)


def refused(call):
    try:
        call()
    except ValueError as error:
        return str(error)
    return None


def guard():
    """Stop at a NaN that one worker sees, and go on to use both."""
    found = one_process.guard(STRATEGY)
    distiller, _ = small_distiller(STRATEGY)
    found["evaluation"] = distiller.evaluate(dataset(8), verbose=0)
    return found


def unseeded_arrays():
    distiller, _ = small_distiller(STRATEGY)
    tf.random.set_seed(None)
    return distiller.fit(X, Y, verbose=0)


def one_batch():
    distiller, _ = small_distiller(STRATEGY)
    return distiller.train_on_batch(X[:8], Y[:8])


def cases():
    train = one_process.train
    mixing = [kd_keras.augment.named("geometric", seed=3), kd_keras.augment.named("mixup", seed=5)]
    compared = {
        "mixing": functools.partial(train, augmentation=mixing, steps_per_execution=3),
        "pick": functools.partial(train, augmentation=one_process.picking),
        "feedback": functools.partial(train, augmentation=one_process.following),
        "alone": alone,
        "shuffled": shuffled,
        "arrays": arrays,
        "loaded": loaded,
    }
    results = {"two": {name: case(STRATEGY) for name, case in compared.items()}}
    results["two"]["alone_batch_norm"] = alone(STRATEGY, norm="plain")
    results["nan"] = guard()
    results["few"] = one_process.few_examples(STRATEGY)
    results["unseeded_arrays"] = refused(unseeded_arrays)
    results["one_batch"] = refused(one_batch)
    # By now neither waits for the other.
    mine = list(compared)[RANK::2]
    results["one"] = {name: compared[name](None) for name in mine}
    return results


class Die(keras.callbacks.Callback):
    """Kill one worker in the middle of the third epoch."""

    def __init__(self, rank):
        super().__init__()
        self.rank = rank

    def on_train_batch_end(self, batch, logs=None):
        if self.rank == RANK and self.model.step.numpy() == 13:
            os.kill(os.getpid(), signal.SIGKILL)


def job(strategy, folder, callbacks=()):
    distiller, student = small_distiller(
        strategy, augmentation=kd_keras.augment.named("mixup", seed=5)
    )
    backup = keras.callbacks.BackupAndRestore(folder)
    history = distiller.fit(dataset(40), epochs=4, verbose=0, callbacks=[backup, *callbacks])
    return {**outcome(distiller, student, history, dataset(40)), "epochs": history.epoch}


def main():
    if sys.argv[1] == "cases":
        print(json.dumps(cases()))
        return
    # Every worker begins elsewhere: what they have in common then comes from the chief.
    keras.utils.set_random_seed(RANK)
    results = {"two": job(STRATEGY, sys.argv[2], [Die(int(rank)) for rank in sys.argv[3:]])}
    if RANK == 0:
        keras.utils.set_random_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            results["one"] = job(None, folder)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
