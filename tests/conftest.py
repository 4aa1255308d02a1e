"""Shared by all tests: quiet TensorFlow, and the small models that many of them teach with.

TensorFlow is imported where it is used: the process that hands out the tests has no need of it.
"""

from __future__ import annotations

import gc
import os
from typing import NamedTuple

import numpy as np
import pytest
from xdist.scheduler import LoadFileScheduling

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Folders whose tests share what takes long to make.
_TOGETHER = ("tests/export/", "tests/experiments/study/")
# What takes longest, to be begun first: a process must not be left with it while the other is idle.
_FIRST = (
    "tests/experiments/study/",
    "tests/experiments/test_main_job.py",
    "tests/distiller/test_multi_worker.py",
    "tests/distiller/test_distribution.py",
    "tests/checkpoint/",
    "tests/export/",
    "tests/integration/",
    "tests/cli/test_cli.py",
    "tests/test_docstrings.py",
)


class _Scheduling(LoadFileScheduling):
    """Gives a file's tests to one process, and those of some folders."""

    def _split_scope(self, nodeid):
        folder = next((folder for folder in _TOGETHER if nodeid.startswith(folder)), None)
        return folder or super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return _Scheduling(config, log)


def pytest_collection_modifyitems(items):
    def rank(item):
        return next((i for i, start in enumerate(_FIRST) if item.nodeid.startswith(start)), 99)

    items.sort(key=rank)


def pytest_collection_finish(session):
    # What has been imported stays: without this, Python looks through all of TensorFlow again and
    # again for what could be freed.
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def _seeded_modules():
    # What fixtures of a module make does not depend on the tests that ran before.
    import keras

    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _fresh_seeds():
    import keras

    keras.utils.set_random_seed(0)
    yield
    # Without a garbage collection: over TensorFlow's objects it takes longer than most tests.
    keras.backend.clear_session(free_memory=False)


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def command(capsys):
    """The command line, in this process: gives its exit code, its output and its complaints."""
    from kd_keras.cli import main

    def run(*arguments) -> Done:
        capsys.readouterr()
        try:
            code = main([*map(str, arguments)])
        except SystemExit as leaving:
            code = leaving.code
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture
def images() -> tuple[np.ndarray, np.ndarray]:
    """40 images of 6 x 6 x 1 in 0..255 (float32) and their labels in 0..2."""
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (40, 6, 6, 1)).astype("float32")
    return x, random.integers(0, 3, 40)


@pytest.fixture
def make_net():
    """A factory of small convolutional classifiers of 6 x 6 x 1 images, logits out."""
    import keras

    def build(width: int = 4, name: str = "net", *, norm: bool = True, dropout: float = 0.0):
        inputs = keras.Input((6, 6, 1))
        x = keras.layers.Rescaling(1 / 255)(inputs)
        x = keras.layers.Conv2D(width, 3, kernel_regularizer="l2", name="conv")(x)
        if norm:
            x = keras.layers.BatchNormalization(momentum=0.5, name="norm")(x)
        x = keras.layers.ReLU(name="relu")(x)
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
        if dropout:
            x = keras.layers.Dropout(dropout, name="dropout")(x)
        return keras.Model(inputs, keras.layers.Dense(3, name="logits")(x), name=name)

    return build


def sparse_crossentropy():
    import keras

    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def small_hub_backbone(side):
    """A ResNet of KerasHub with one block, for square RGB images; KerasHub must be there."""
    import keras_hub

    return keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64],
        stackwise_num_blocks=[1],
        stackwise_num_strides=[1],
        block_type="basic_block",
        image_shape=(side, side, 3),
    )
