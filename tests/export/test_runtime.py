"""`LiteModel` and `predict`: raw images in, real numbers out, damaged files refused."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from kd_keras import export
from kd_keras.export import interpreter


@pytest.fixture
def model(exported):
    return export.LiteModel(exported["none"].path)


def test_batches_of_every_size_give_the_same_outputs(model, photos):
    whole = model.predict(photos, batch_size=120)

    assert whole.dtype == np.float32
    for size in (1, 7, 32, 500):
        np.testing.assert_allclose(model.predict(photos, batch_size=size), whole, atol=1e-5)


def test_uint8_and_float_images_are_the_same_images(model, photos):
    np.testing.assert_array_equal(
        model.predict(photos[:5]), model.predict(photos[:5].astype("float64"))
    )


def test_a_whole_dataset_is_predicted_in_order_with_its_labels(exported, student, photos):
    labels = np.arange(len(photos))
    dataset = tf.data.Dataset.from_tensor_slices((photos, labels)).batch(50)

    logits, got = export.predict(exported["none"].path, dataset, threads=2)

    np.testing.assert_array_equal(got, labels)
    np.testing.assert_allclose(logits, student(photos.astype("float32")), atol=1e-5)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (tf.data.Dataset.from_tensors(np.zeros((2, 8, 8, 3))), r"must yield \(x, y\)"),
        (tf.data.Dataset.from_tensors((np.zeros((2, 8, 8, 3)), [0, 1])).repeat(), "must end"),
        (tf.data.Dataset.from_tensors((np.zeros((2, 8, 8, 3)), [0, 1])).take(0), "at least one"),
    ],
)
def test_unusable_datasets_are_refused(dataset, message, exported):
    with pytest.raises(ValueError, match=message):
        export.predict(exported["none"].path, dataset)


@pytest.mark.parametrize(
    "images", [np.zeros((0, 8, 8, 3)), np.zeros((8, 8, 3)), np.zeros((2, 8, 9, 3))]
)
def test_images_of_another_shape_are_refused(images, model):
    with pytest.raises(ValueError, match=r"\(None, 8, 8, 3\).*Received: shape"):
        model.predict(images)


def test_images_that_are_no_numbers_are_refused(model):
    with pytest.raises(ValueError, match="real numbers"):
        model.predict(np.zeros((1, 8, 8, 3), "bool"))


@pytest.mark.parametrize("kept", [0, 3, 8, 40, 0.5, 0.9, -4, -1])
def test_a_file_cut_off_anywhere_is_refused_by_name(kept, exported, tmp_path):
    content = exported["int8"].path.read_bytes()
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])

    with pytest.raises(ValueError, match=r"(cut off|lacks the mark).*cut\.tflite"):
        export.LiteModel(cut)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\0\0\0\0TFL3" + b"x" * 200])
def test_garbage_is_refused_by_name(content, tmp_path):
    path = tmp_path / "garbage.tflite"
    path.write_bytes(content)

    with pytest.raises(ValueError, match=r"garbage\.tflite"):
        export.LiteModel(path)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"Cannot read.*none\.tflite"):
        export.LiteModel(tmp_path / "none.tflite")


@pytest.mark.parametrize("threads", [0, -1, 1.5, True])
def test_threads_out_of_range_are_refused(threads, exported):
    with pytest.raises(ValueError, match="`threads` must be an integer from 1 to 1024"):
        export.LiteModel(exported["none"].path, threads=threads)


@pytest.mark.parametrize("dtype", [tf.int8, tf.uint8])
def test_integer_inputs_and_outputs_are_in_real_units(dtype, student, photos, exported, tmp_path):
    def examples():
        for photo in photos:
            yield [photo[None].astype("float32")]

    converter = tf.lite.TFLiteConverter.from_keras_model(student)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = examples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = dtype
    path = tmp_path / "integer.tflite"
    path.write_bytes(converter.convert())

    model = export.LiteModel(path)

    assert model.input_dtype == dtype.as_numpy_dtype
    float_borders = export.LiteModel(exported["int8"].path).predict(photos)
    np.testing.assert_allclose(model.predict(photos), float_borders, atol=1e-5)


def test_quantisation_rounds_and_clips():
    detail = {"quantization": (0.5, -128), "dtype": np.int8}

    inputs = interpreter.to_input(np.array([0.0, 0.3, 127.5, 400.0, -9.0]), detail)

    np.testing.assert_array_equal(inputs, np.array([-128, -127, 127, 127, -128], "int8"))
    np.testing.assert_array_equal(interpreter.to_real(inputs[:3], detail), [0.0, 0.5, 127.5])
