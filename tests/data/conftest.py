"""Prepared data that the tests of this room share, and small datasets to go wrong with."""

import os
import pathlib

import keras
import numpy as np
import PIL.Image
import pytest

import kd_keras


@pytest.fixture(autouse=True)
def _fresh_seeds():
    """Seeds alone: these tests build no models worth a collection of garbage after each."""
    keras.utils.set_random_seed(0)


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
