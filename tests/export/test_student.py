"""How a student of any policy and shape is presented to the converter."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras import export
from kd_keras.export.student import check_student, computing_in_float32, input_spec, named_outputs


def mixed_student(policy: str) -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 255, dtype=policy)(inputs)
    x = keras.layers.Conv2D(4, 3, dtype=policy)(x)
    x = keras.layers.BatchNormalization(dtype=policy)(x)
    x = keras.layers.GlobalAveragePooling2D(dtype=policy)(x)
    return keras.Model(inputs, keras.layers.Dense(3, dtype=policy)(x))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_mixed_precision_student_is_exported_in_float32_and_left_as_it_was(
    policy, tmp_path, photos
):
    student = mixed_student(policy)
    policies = [layer.dtype_policy.name for layer in student.layers]
    before = student(photos[:4]).numpy()

    result = export.to_tflite(student, tmp_path / "m.tflite", verification_data=photos)

    assert result.largest_difference < 1e-5
    assert [layer.dtype_policy.name for layer in student.layers] == policies
    after = student(photos[:4]).numpy()
    assert after.dtype == before.dtype
    np.testing.assert_array_equal(after, before)


def test_policies_come_back_after_an_error():
    student = mixed_student("mixed_bfloat16")

    with pytest.raises(KeyError), computing_in_float32(student):
        assert student.layers[-1].compute_dtype == "float32"
        raise KeyError

    assert student.layers[-1].compute_dtype == "bfloat16"


def test_half_precision_weights_are_refused_with_the_remedy(tmp_path):
    with pytest.raises(ValueError, match=r"float32 weights.*set_weights.*Received: layer"):
        export.to_tflite(mixed_student("float16"), tmp_path / "h.tflite")


def test_a_student_without_weights_is_refused():
    with pytest.raises(ValueError, match=r"no weights yet.*student.build"):
        check_student(keras.Sequential([keras.layers.Dense(3)]))


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match=r"must be a `keras.Model`.*type str"):
        check_student("student.keras")


def test_a_student_of_two_inputs_is_refused():
    a, b = keras.Input((3,)), keras.Input((3,))
    with pytest.raises(ValueError, match="must take one tensor"):
        input_spec(keras.Model([a, b], keras.layers.Add()([a, b])), None)


def test_the_batch_is_open_unless_it_is_fixed(student):
    assert input_spec(student, None).shape.as_list() == [None, 8, 8, 3]
    assert input_spec(student, 1).shape.as_list() == [1, 8, 8, 3]


def test_an_integer_input_keeps_its_dtype(tmp_path, photos):
    inputs = keras.Input((8, 8, 3), dtype="uint8")
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    student = keras.Model(inputs, keras.layers.Dense(3)(x))

    assert input_spec(student, None).dtype == tf.uint8
    result = export.to_tflite(student, tmp_path / "u.tflite", verification_data=photos)

    assert export.LiteModel(result.path).input_dtype == np.uint8
    assert result.largest_difference < 1e-5


def test_outputs_are_named_by_key_or_in_order():
    assert named_outputs("x") == {"output_0": "x"}
    assert named_outputs(["x", "y"]) == {"output_0": "x", "output_1": "y"}
    assert named_outputs({"b": "x", "a": "y"}) == {"b": "x", "a": "y"}
    assert named_outputs({"a": ["x", "y"]}) == {"output_0": "x", "output_1": "y"}
