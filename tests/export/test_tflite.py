"""`to_tflite`: every preset is close to Keras, and nothing is left behind when it fails."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras import export
from kd_keras.export import attempt, tflite
from tests.export.conftest import conv_student


def logits_of(student, photos):
    return student(photos.astype("float32"), training=False).numpy()


@pytest.mark.parametrize(
    ("preset", "most"),
    [
        ("none", 1e-5),
        ("float16", 5e-3),
        ("dynamic", 5e-2),
        ("weight_only", 5e-2),
        ("int8", 0.2),
        ("int16x8", 5e-2),
    ],
)
def test_every_preset_is_close_to_the_keras_student(preset, most, exported, student, photos):
    result = exported[preset]
    expected = logits_of(student, photos)
    assert np.ptp(expected) > 1, "the logits must span more than the tolerances"

    got = export.LiteModel(result.path).predict(photos)

    difference = np.abs(got - expected)
    assert difference.max() <= most
    assert result.largest_difference == pytest.approx(difference.max(), abs=1e-5)
    assert result.mean_difference == pytest.approx(difference.mean(), abs=1e-5)
    assert result.agreement == np.mean(got.argmax(-1) == expected.argmax(-1))
    assert result.examples == len(photos)


def test_the_result_describes_the_file_that_was_written(exported):
    result = exported["int8"]
    content = result.path.read_bytes()

    assert result.bytes == len(content)
    assert result.sha256 == hashlib.sha256(content).hexdigest()
    assert result.quantization == "int8"


def test_quantised_files_are_smaller(exported):
    assert exported["float16"].bytes < 0.6 * exported["none"].bytes
    assert exported["dynamic"].bytes < 0.4 * exported["none"].bytes
    assert exported["int8"].bytes < 0.4 * exported["none"].bytes


def test_the_int8_file_calculates_in_int8_between_float_borders(exported):
    operators = export.LiteModel(exported["int8"].path).operators()
    inner = [operator for operator in operators if operator.name not in ("QUANTIZE", "DEQUANTIZE")]

    assert operators[0] == export.Operator("QUANTIZE", ("float32",), ("int8",))
    assert operators[-1] == export.Operator("DEQUANTIZE", ("int8",), ("float32",))
    assert export.Operator("CONV_2D", ("int8", "int8", "int32"), ("int8",)) in inner
    assert all(operator.outputs[0] != "float32" for operator in inner)
    assert exported["int8"].float_operators == ()


def test_the_float_files_say_that_they_calculate_in_float(exported):
    assert "CONV_2D" in exported["none"].float_operators
    assert "CONV_2D" in exported["dynamic"].float_operators


@pytest.mark.parametrize("preset", ["none", "int8"])
def test_the_file_takes_raw_images_as_float32_in_batches_of_any_size_on_request(
    preset, student, photos, tmp_path
):
    result = export.to_tflite(student, tmp_path / "s.tflite", preset, photos, batch_size=None)
    model = export.LiteModel(result.path)

    assert model.input_shape == (None, 8, 8, 3)
    assert model.input_dtype == np.float32


def test_float_exports_need_no_data(student, tmp_path):
    result = export.to_tflite(student, tmp_path / "a.tflite")

    assert result.examples == 32
    assert result.largest_difference < 1e-5


def test_the_same_student_gives_the_same_file_twice(student, exported, tmp_path):
    again = export.to_tflite(student, tmp_path / "again.tflite")

    assert again.sha256 == exported["none"].sha256


def test_a_dict_of_outputs_keeps_its_names_and_every_output_is_verified(tmp_path, photos):
    inputs = keras.Input((8, 8, 3))
    features = keras.layers.Conv2D(2, 3)(inputs)
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    student = keras.Model(
        inputs, {"logits": keras.layers.Dense(3)(pooled), "a_tap": features}, name="two"
    )

    result = export.to_tflite(student, tmp_path / "two.tflite", verification_data=photos)

    assert {output.name: output.largest < 1e-3 for output in result.outputs} == {
        "logits": True,
        "a_tap": True,
    }
    got = export.LiteModel(result.path).predict(photos[:5])
    expected = student(photos[:5].astype("float32"))
    assert got["logits"].shape == (5, 3)
    np.testing.assert_allclose(got["a_tap"], expected["a_tap"], atol=1e-3)
    np.testing.assert_allclose(got["logits"], expected["logits"], atol=1e-3)


def test_a_subclassed_student_keeps_an_open_batch(tmp_path, photos):
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.pool = keras.layers.GlobalAveragePooling2D()
            self.dense = keras.layers.Dense(3)

        def call(self, images):
            return self.dense(self.pool(images))

    student = Subclassed()
    student(photos[:7].astype("float32"))

    result = export.to_tflite(
        student, tmp_path / "s.tflite", verification_data=photos, batch_size=None
    )

    assert result.largest_difference < 1e-3
    assert export.LiteModel(result.path).input_shape == (None, 8, 8, 3)


def test_dropout_and_batch_norm_are_exported_for_inference(tmp_path, photos):
    student = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.9),
            keras.layers.Dense(3),
        ]
    )
    before = [weight.numpy().copy() for weight in student.weights]

    result = export.to_tflite(student, tmp_path / "d.tflite", verification_data=photos)

    assert result.largest_difference < 1e-2
    for weight, value in zip(student.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)


def test_a_recurrent_student_is_told_to_fix_the_batch_and_then_works(tmp_path):
    inputs = keras.Input((5, 3))
    student = keras.Model(inputs, keras.layers.Dense(4)(keras.layers.LSTM(4)(inputs)))

    with pytest.raises(ValueError, match=r"TensorList.*batch_size=1"):
        export.to_tflite(student, tmp_path / "r.tflite", input_range=(-1, 1), batch_size=None)
    result = export.to_tflite(student, tmp_path / "r.tflite", input_range=(-1, 1), batch_size=1)

    assert result.largest_difference < 1e-5
    model = export.LiteModel(result.path)
    assert model.input_shape == (1, 5, 3)
    assert model.predict(np.zeros((3, 5, 3))).shape == (3, 4)


class HyperbolicSine(keras.layers.Layer):
    """TFLite has no builtin kernel for this op, TensorFlow's Flex delegate has."""

    def call(self, inputs):
        return tf.sinh(inputs / 255.0)


@pytest.fixture
def flex_student():
    inputs = keras.Input((8, 8, 3))
    x = HyperbolicSine()(inputs)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x), name="flexible")


@pytest.mark.parametrize("preset", ["none", "int8"])
def test_an_op_that_needs_flex_is_named_and_no_file_appears(preset, flex_student, tmp_path, photos):
    with pytest.raises(ValueError, match=r"'flexible'.*: Sinh\. Replace the layers"):
        export.to_tflite(flex_student, tmp_path / "f.tflite", preset, photos)

    assert list(tmp_path.iterdir()) == []


def test_an_int8_file_with_float_operators_warns_by_their_names(tmp_path, photos):
    class Angle(keras.layers.Layer):
        def call(self, inputs):
            return tf.atan2(inputs, inputs + 1.0)

    inputs = keras.Input((8, 8, 3))
    x = Angle()(keras.layers.Conv2D(2, 3)(inputs))
    student = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))

    with pytest.warns(UserWarning, match="in float: ATAN2"):
        result = export.to_tflite(
            student, tmp_path / "a.tflite", "int8", photos, min_agreement=None
        )

    assert result.float_operators == ("ATAN2",)


def test_a_good_int8_export_warns_of_nothing(student, tmp_path, photos):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        export.to_tflite(student, tmp_path / "q.tflite", "int8", photos)


def test_few_representative_images_are_warned_of(student, tmp_path, photos):
    with pytest.warns(UserWarning, match="holds 12 examples"):
        export.to_tflite(student, tmp_path / "q.tflite", "int8", photos[:12])


def test_int8_without_data_is_refused_with_the_alternative(student, tmp_path):
    with pytest.raises(ValueError, match=r"needs `representative_data`.*'dynamic'"):
        export.to_tflite(student, tmp_path / "q.tflite", "int8")


def test_int8_takes_a_dataset_and_no_more_than_the_asked_examples(student, tmp_path, photos):
    labels = np.zeros(len(photos), "int64")
    dataset = tf.data.Dataset.from_tensor_slices((photos, labels)).batch(32).repeat()

    result = export.to_tflite(student, tmp_path / "q.tflite", "int8", dataset, examples=110)

    assert result.examples == 110
    assert result.agreement > 0.9


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((120, 9, 8, 3), "uint8"), r"\(None, 8, 8, 3\).*Received.*\(120, 9, 8, 3\)"),
        (np.zeros((0, 8, 8, 3), "uint8"), "holds no examples"),
        (np.linspace(0, 1, 192).reshape(1, 8, 8, 3), r"looks like images in 0\.\.1"),
    ],
)
def test_wrong_representative_data_keep_the_previous_file(data, message, student, tmp_path):
    path = tmp_path / "q.tflite"
    path.write_bytes(b"previous")

    with pytest.raises(ValueError, match=message):
        export.to_tflite(student, path, "int8", data)

    assert path.read_bytes() == b"previous"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("module", "stage"),
    [
        (tflite, "convert"),
        (tflite, "LiteModel"),
        (attempt, "LiteModel"),
        (attempt, "verify_signatures"),
        (tflite, "check_compiled"),
    ],
)
def test_a_failure_in_any_stage_keeps_the_previous_file(
    module, stage, monkeypatch, student, tmp_path
):
    path = tmp_path / "s.tflite"
    path.write_bytes(b"previous")

    def fail(*args, **kwargs):
        raise OSError("the disk is full")

    monkeypatch.setattr(module, stage, fail)
    with pytest.raises(OSError, match="the disk is full"):
        export.to_tflite(student, path)

    assert path.read_bytes() == b"previous"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_calculates_something_else_is_refused(monkeypatch, student, tmp_path):
    other = conv_student()
    other.set_weights([weight + 0.1 for weight in other.get_weights()])
    right = tflite.convert

    def convert_another(student, signatures, *args, **kwargs):
        (signature,) = signatures
        return right(student, [dataclasses.replace(signature, function=other)], *args, **kwargs)

    monkeypatch.setattr(tflite, "convert", convert_another)

    with pytest.raises(ValueError, match="does not calculate what `student` does"):
        export.to_tflite(student, tmp_path / "s.tflite")

    assert list(tmp_path.iterdir()) == []


def test_a_student_with_nan_weights_is_refused(tmp_path):
    student = conv_student()
    student.layers[-1].bias.assign([np.nan, 0, 0, 0])

    with pytest.raises(ValueError, match="is not finite on the verification data"):
        export.to_tflite(student, tmp_path / "s.tflite")

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_used_is_known_before_the_conversion(
    monkeypatch, student, tmp_path
):
    def unexpected(*args):
        raise AssertionError("converted before the folder was checked")

    monkeypatch.setattr(tflite, "convert", unexpected)
    with pytest.raises(ValueError, match="folder of `path` does not exist"):
        export.to_tflite(student, tmp_path / "missing" / "s.tflite")
    with pytest.raises(ValueError, match="must name a file"):
        export.to_tflite(student, tmp_path)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder nobody can write to")
def test_an_unwritable_folder_is_a_clear_error(student):
    with pytest.raises(ValueError, match="Cannot write into the folder of `path`"):
        export.to_tflite(student, "/proc/self/s.tflite")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quantization": "int4"}, "'none', 'float16', .*'int8'.*Received.*'int4'"),
        ({"examples": 0}, "`examples` must be an integer >= 1"),
        ({"batch_size": 0}, "`batch_size` must be an integer >= 1"),
        ({"input_range": (255, 0)}, r"`input_range` must be \(low, high\)"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message, student, tmp_path):
    with pytest.raises(ValueError, match=message):
        export.to_tflite(student, tmp_path / "s.tflite", **arguments)


def test_nothing_is_printed(student, tmp_path, photos, capfd):
    export.to_tflite(student, tmp_path / "q.tflite", "int8", photos)
    export.LiteModel(tmp_path / "q.tflite").predict(photos[:3])

    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err == ""
