"""Files give in LiteRT's CompiledModel what they give in its Interpreter."""

from __future__ import annotations

import os
import warnings

import keras
import numpy as np
import pytest

from kd_keras import export
from kd_keras.export import compiled
from kd_keras.export.compiled import NotRunError, check_compiled


@pytest.fixture(scope="module")
def flat_ended() -> keras.Model:
    """A head of a 1 x 1 convolution and a Flatten, as MobileNetV3 has."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    return keras.Model(inputs, keras.layers.Flatten()(keras.layers.Conv2D(5, 1)(x)))


def test_an_output_of_open_size_is_refused_and_the_remedy_works(flat_ended, photos, tmp_path):
    with pytest.raises(ValueError, match=r"CompiledModel.*of open size.*batch_size=1"):
        export.to_tflite(
            flat_ended, tmp_path / "s.tflite", verification_data=photos, batch_size=None
        )
    assert list(tmp_path.iterdir()) == []

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        result = export.to_tflite(
            flat_ended, tmp_path / "s.tflite", verification_data=photos, batch_size=1
        )
    model = export.LiteModel(result.path)
    some = {"images": photos[:4].astype("float32")}
    found = compiled._CHILD.outputs(result.path, some)

    assert model.input_shape == (1, 8, 8, 3)
    expected = flat_ended(some["images"]).numpy()
    np.testing.assert_allclose(found["output_0"], expected, atol=1e-5)
    np.testing.assert_allclose(model.predict(photos[:4]), expected, atol=1e-5)


def test_a_phone_gets_a_batch_of_one(student, tmp_path):
    result = export.to_tflite(student, tmp_path / "s.tflite")

    assert export.LiteModel(result.path).input_shape == (1, 8, 8, 3)


def test_a_student_that_fixes_its_batch_keeps_it(photos, tmp_path):
    inputs = keras.Input((8, 8, 3), batch_size=4)
    student = keras.Model(inputs, keras.layers.Dense(3)(keras.ops.reshape(inputs, (4, 192))))

    result = export.to_tflite(student, tmp_path / "s.tflite", verification_data=photos)

    assert export.LiteModel(result.path).input_shape == (4, 8, 8, 3)
    assert result.largest_difference < 1e-2


@pytest.mark.parametrize("preset", ["int8", "float16", "weight_only"])
def test_integers_and_packed_weights_are_the_same_there(preset, exported, photos):
    check_compiled(export.LiteModel(exported[preset].path), {"images": photos})


def test_a_crash_of_the_runtime_is_no_crash_of_this_process(exported, photos, tmp_path):
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(exported["none"].path.read_bytes()[:100])

    with pytest.raises(NotRunError):
        compiled._CHILD.outputs(damaged, {"images": photos[:1].astype("float32")})
    process = compiled._CHILD._started()
    process.kill()
    process.wait()
    with pytest.raises(NotRunError, match="ended with -9"):
        compiled._CHILD.outputs(damaged, {"images": photos[:1].astype("float32")})
    check_compiled(export.LiteModel(exported["none"].path), {"images": photos})


def test_a_file_of_fixed_size_that_differs_is_warned_of(monkeypatch, exported, photos):
    monkeypatch.setattr(
        compiled._CHILD, "outputs", lambda path, inputs: {"output_0": np.zeros((4, 4), "float32")}
    )
    with pytest.warns(UserWarning, match=r"CompiledModel.*off by .*use that one"):
        check_compiled(export.LiteModel(exported["none"].path), {"images": photos})


def test_a_runtime_that_hangs_is_ended(monkeypatch, exported, photos, tmp_path):
    monkeypatch.setattr(compiled, "_PATIENCE", 0.5)
    # What reads a pipe that nobody writes to waits for ever.
    os.mkfifo(tmp_path / "hangs.tflite")

    with pytest.raises(NotRunError, match=r"no answer within 0\.5 seconds"):
        compiled._CHILD.outputs(tmp_path / "hangs.tflite", {"images": photos[:1]})
    monkeypatch.undo()
    check_compiled(export.LiteModel(exported["none"].path), {"images": photos})
