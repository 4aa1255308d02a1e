"""Models with much state, data in an order of their own each epoch, and deaths at a chosen step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.checkpoint.data import Epochs
from kd_keras.training.supervised import Supervised
from tests.conftest import sparse_crossentropy

STEPS = 5  # 40 images in batches of 8


class Died(BaseException):
    """What stands for the death of a process."""


class DieAt(keras.callbacks.Callback):
    """Die before a step of an epoch; before step 0: between two epochs."""

    def __init__(self, epoch, step):
        super().__init__()
        self.at = (epoch, step)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            raise Died


@pytest.fixture
def training(images):
    """A function of the first epoch that returns the batches from there on."""
    x, y = images
    examples = tf.data.Dataset.from_tensor_slices((x.astype("uint8"), y))

    return Epochs(lambda epoch: examples.shuffle(40, seed=epoch).batch(8)).training


@pytest.fixture
def make_model(make_net):
    """A factory of compiled models: "distiller", "supervised" or "plain", always with new weights.

    Only the teacher is the same each time.
    """
    from kd_keras.augment import GaussianNoise, Policy

    keras.utils.set_random_seed(11)
    teacher = make_net(4, "teacher")

    def build(kind="distiller", optimizer=None, net=None, **options):
        student = net or make_net(4, "student", dropout=0.3)
        # The policy draws by the step, the layer behind it from a state of its own.
        views = [Policy([GaussianNoise(0.1)], seed=5), keras.layers.RandomTranslation(0.2, 0.2)]
        if kind == "distiller":
            losses = [kd_keras.losses.KLDivergence(2.0), kd_keras.losses.Hint("relu", "relu")]
            model = kd_keras.Distiller(
                teacher, student, losses, balance="ema", augmentation=views, **options
            )
        else:
            model = Supervised(student, views) if kind == "supervised" else student
        model.compile(
            optimizer or keras.optimizers.SGD(0.05, momentum=0.9),
            sparse_crossentropy(),
            metrics=["accuracy"],
        )
        return model

    return build


def fit(model, checkpoint, training, epochs=4, die=None, **options):
    """Train with a checkpoint, or with none, to the end or to death; return the history."""
    if checkpoint is None:
        data, callbacks = training(0), []
    else:
        data, callbacks = checkpoint.batches(training), [checkpoint]
    callbacks += [] if die is None else [DieAt(*die)]
    options = {"steps_per_epoch": STEPS, "verbose": 0, **options}
    if die is None:
        return model.fit(data, epochs=epochs, callbacks=callbacks, **options)
    with pytest.raises(Died):
        model.fit(data, epochs=epochs, callbacks=callbacks, **options)
    return None


def state_of(model):
    student = getattr(model, "student", getattr(model, "network", model))
    return [np.asarray(v) for v in (*student.variables, *model.optimizer.variables)]


def assert_same(model, history, expected_model, expected_history):
    assert history.history == expected_history.history
    assert history.epoch == expected_history.epoch
    for mine, theirs in zip(state_of(model), state_of(expected_model), strict=True):
        np.testing.assert_array_equal(mine, theirs)
