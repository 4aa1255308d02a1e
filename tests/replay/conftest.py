"""A small recording of real digits, made once: three epochs of eight batches, noise and CutMix."""

import keras
import pytest

import kd_keras
from kd_keras.replay import record

EPOCHS = 3


def network(seed: int, width: int) -> keras.Model:
    """Return a perceptron, for it traces fast; logits out."""
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(width, activation="relu", name="hidden"),
            keras.layers.Dense(10, name="logits"),
        ],
        name=f"mlp{width}",
    )


def policy(seed: int = 3):
    """Return cheap views with all that is hard to repeat: noise, and partners in the batch."""
    layers = [kd_keras.augment.GaussianNoise((0.0, 0.1)), kd_keras.augment.CutMix()]
    return kd_keras.augment.Policy(layers, seed=seed)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def load(data_dir):
    """Load the first 500 digits with some options."""

    def load(**options):
        options = {"batch_size": 64, "limit": 500, **options}
        return kd_keras.data.load("digits", data_dir=data_dir, **options)

    return load


@pytest.fixture(scope="session")
def splits(load):
    return load()


@pytest.fixture(scope="session")
def teacher(splits):
    model = network(0, 32)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    model.fit(splits.training(), steps_per_epoch=splits.steps_per_epoch, epochs=5, verbose=0)
    return model


@pytest.fixture(scope="session")
def folder(teacher, splits, tmp_path_factory):
    """A recording of all classes."""
    path = tmp_path_factory.mktemp("recording") / "labels"
    record(teacher, splits, path, epochs=EPOCHS, augmentation=policy(), steps_per_shard=3)
    return path


@pytest.fixture
def make():
    """Make a compiled Distiller of a new student."""

    def make(teacher, losses=None, augmentation=None, **options):
        losses = kd_keras.losses.KLDivergence(4.0) if losses is None else losses
        augmentation = policy() if augmentation is None else augmentation
        distiller = kd_keras.Distiller(
            teacher, network(1, 8), losses, augmentation=augmentation, student_loss_weight=0.1
        )
        distiller.compile(
            keras.optimizers.Adam(0.01),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            **options,
        )
        return distiller

    return make
