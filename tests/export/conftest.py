"""Small students with known files, converted once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import keras
import numpy as np
import pytest

from kd_keras import export
from kd_keras.export.presets import Quantization


def conv_student(width: int = 64) -> keras.Model:
    """A classifier of 8 x 8 x 3 images in 0..255 with a dense layer worth quantising."""
    keras.utils.set_random_seed(7)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1.0)(inputs)
    x = keras.layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(width, activation="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(4)(x), name="student")


@pytest.fixture(autouse=True)
def _fresh_seeds():
    # Instead of the one for all tests: clearing the session after each of the many short tests here
    # would take longer than they do, and the student below outlives them.
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def photos() -> np.ndarray:
    """120 uint8 images of 8 x 8 x 3."""
    return np.random.default_rng(1).integers(0, 256, (120, 8, 8, 3), dtype="uint8")


@pytest.fixture(scope="session")
def student() -> keras.Model:
    return conv_student()


@pytest.fixture(scope="session")
def exported(student, photos, tmp_path_factory) -> dict[str, export.ExportResult]:
    """The student under every preset."""
    folder: Path = tmp_path_factory.mktemp("exported")
    return {
        preset: export.to_tflite(
            student,
            folder / f"{preset}.tflite",
            preset,
            photos if preset.startswith("int") else None,
            verification_data=photos,
        )
        for preset in get_args(Quantization)
    }
