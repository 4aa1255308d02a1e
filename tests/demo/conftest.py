"""The released digits student with labels, the runtime, and the Chromium that is installed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from kd_keras.demo.web_runtime import BUILDS, WebRuntime, web_runtime
from kd_keras.export import metadata

RELEASED = Path(__file__).parents[2] / "saved_models" / "released" / "digits_student_int8.tflite"
LABELS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@pytest.fixture(autouse=True)
def _fresh_seeds():
    """Instead of the one for all tests, which clears Keras's session: no test here trains."""


@pytest.fixture(scope="session")
def runtime():
    try:
        return web_runtime()
    except ConnectionError as error:
        pytest.skip(f"needs LiteRT's web runtime: {error}")


@pytest.fixture
def small_runtime(monkeypatch):
    """A runtime that no browser would take, for pages that are not opened."""
    small = WebRuntime(b"core", b"utils", {build: (b"js", b"wasm") for build in BUILDS})
    monkeypatch.setattr("kd_keras.demo.page.web_runtime", lambda: small)


@pytest.fixture(scope="session")
def packed(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("packed") / "digits_int8.tflite"
    path.write_bytes(metadata.pack(RELEASED.read_bytes(), labels=LABELS, name="digits, int8"))
    return path


@pytest.fixture(scope="session")
def digit(tmp_path_factory) -> tuple[Path, np.ndarray]:
    """A picture file of a real handwritten two, of which the student is not quite sure."""
    pixels = np.round(load_digits().images[2] * 255 / 16).astype("uint8")
    path = tmp_path_factory.mktemp("digit") / "two.png"
    PIL.Image.fromarray(pixels).save(path)
    return path, pixels


@pytest.fixture(scope="session")
def browser():
    installed = shutil.which("chromium") or shutil.which("chromium-browser")
    if installed is None:
        pytest.skip("needs Debian's chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=installed, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def integer_file(tmp_path_factory):
    """Makes int8 files that take and give integers: probabilities of ten classes of RGB images."""

    def make(dtype: tf.DType, batch: int = 1) -> Path:
        random = np.random.default_rng(3)
        weights = tf.constant(random.normal(0, 0.01, (12 * 10 * 3, 10)), tf.float32)
        images = random.integers(0, 256, (100, 12, 10, 3)).astype("float32")
        images[0], images[1] = 0, 255

        @tf.function(input_signature=[tf.TensorSpec((batch, 12, 10, 3))])
        def function(x):
            return tf.nn.softmax(tf.reshape(x, (batch, 12 * 10 * 3)) / 16 @ weights)

        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [function.get_concrete_function()]
        )
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            [image[None].repeat(batch, 0)] for image in images
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = dtype
        path = tmp_path_factory.mktemp("integer") / f"{dtype.name}.tflite"
        path.write_bytes(converter.convert())
        return path

    return make
