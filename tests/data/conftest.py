"""Prepared data that the tests of this room share, and small datasets to go wrong with."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

import kd_keras


@pytest.fixture(scope="session")
def digits_dir(tmp_path_factory):
    """A data_dir in which the digits are prepared."""
    data_dir = tmp_path_factory.mktemp("prepared")
    kd_keras.data.load("digits", data_dir=data_dir)
    return data_dir


@pytest.fixture
def digits(digits_dir):
    """Load digits with some options."""

    def load(**options):
        return kd_keras.data.load("digits", data_dir=digits_dir, **options)

    return load


@pytest.fixture(scope="session")
def cifar_dir():
    """The data_dir of a prepared CIFAR-10; skips where there is none."""
    default = pathlib.Path(__file__).parents[3] / "shared" / "data" / "tensorflow_datasets"
    folder = pathlib.Path(os.environ.get("KD_KERAS_TEST_DATA_DIR", default))
    if not (folder / "cifar10").is_dir():
        pytest.skip(f"no prepared CIFAR-10 in {folder}; set KD_KERAS_TEST_DATA_DIR")
    return folder


_OTHER_PROCESS = """
import hashlib, os, sys, time
import keras, kd_keras
print(int("tensorflow_datasets" in sys.modules))
data_dir, signals = sys.argv[1:]
load = kd_keras.data.load
print(int("tensorflow_datasets" in sys.modules))
keras.utils.set_random_seed(99)
open(os.path.join(signals, str(os.getpid())), "w").close()
while len(os.listdir(signals)) < 2:
    time.sleep(0.01)
splits = load("digits", data_dir=data_dir, seed=5)
epoch = splits.training(first_epoch=3).take(splits.steps_per_epoch)
print(*(hashlib.md5(x.tobytes()).hexdigest() for x, _ in epoch.as_numpy_iterator()))
"""


@pytest.fixture(scope="session")
def two_processes(tmp_path_factory):
    """Lines printed by two fresh processes that prepare the digits in one folder at one moment.

    Each prints whether TFDS was imported with the package and then with the room, and the order of
    epoch 3 under seed 5 and another global seed than ours.
    """
    arguments = [str(tmp_path_factory.mktemp(name)) for name in ("both", "signals")]
    environment = {
        **os.environ,
        "PYTHONPATH": str(pathlib.Path(__file__).parents[2]),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _OTHER_PROCESS, *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    lines = []
    for process in processes:
        out, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        lines.append(out.splitlines())
    return lines


@pytest.fixture
def image_folder(tmp_path):
    """Write a folder of images: {"train/cat": [(height, width), ...]} names a size an image."""

    def write(layout, suffix=".png"):
        random = np.random.default_rng(0)
        for place, sizes in layout.items():
            folder = tmp_path / "images" / place
            folder.mkdir(parents=True)
            for index, (height, width) in enumerate(sizes):
                pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
                PIL.Image.fromarray(pixels).save(folder / f"{index}{suffix}")
        return tmp_path / "images"

    return write
