"""How a student of any policy and shape is presented to the converter."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras import export
from kd_keras.export.student import (
    check_student,
    computing_in_float32,
    named_outputs,
    student_inputs,
)


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


def shapes(student, batch_size=None):
    specs = student_inputs(student, batch_size).specs
    return {name: tuple(spec.shape) for name, spec in specs.items()}


class TwoArguments(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)

    def call(self, image, scale):
        return self.dense(image) * scale


class OneDict(TwoArguments):
    def call(self, inputs):
        return super().call(inputs["image"], inputs["scale"])


class OneList(TwoArguments):
    def call(self, inputs):
        return super().call(*inputs)


class TwoShapes(TwoArguments):
    def build(self, image_shape, scale_shape):
        self.dense.build(image_shape)


IMAGE, MASK = np.ones((2, 5), "float32"), np.full((2, 1), 0.5, "float32")


@pytest.mark.parametrize(
    ("make", "arguments", "names"),
    [
        (TwoShapes, (IMAGE, MASK), ["image", "scale"]),
        (OneDict, ({"image": IMAGE, "scale": MASK},), ["image", "scale"]),
        (OneList, ([IMAGE, MASK],), ["input_0", "input_1"]),
    ],
)
def test_a_subclassed_student_of_two_inputs_is_called_as_it_was_built(make, arguments, names):
    student = make()
    expected = student(*arguments)

    inputs = student_inputs(student, None)

    assert list(inputs.specs) == names
    assert [tuple(spec.shape) for spec in inputs.specs.values()] == [(None, 5), (None, 1)]
    np.testing.assert_array_equal(inputs.call(student, [IMAGE, MASK]), expected)


def test_a_student_whose_second_argument_keras_forgets_is_refused():
    student = TwoArguments()
    student(IMAGE, MASK)

    with pytest.raises(ValueError, match=r"one tensor, list or dict.*\['image', 'scale'\]"):
        student_inputs(student, None)


@pytest.mark.parametrize("form", ["list", "dict"])
def test_a_functional_student_of_two_inputs_keeps_their_names(form):
    a, b = keras.Input((3,), name="left"), keras.Input((3,), name="right")
    made_of = [a, b] if form == "list" else {"right": b, "left": a}
    student = keras.Model(made_of, keras.layers.Subtract()([a, b]))
    ones, twos = np.ones((1, 3), "float32"), np.full((1, 3), 2, "float32")

    inputs = student_inputs(student, None)

    by_name = {"left": ones, "right": twos}
    got = inputs.call(student, [by_name[name] for name in inputs.specs])
    assert sorted(inputs.specs) == ["left", "right"]
    np.testing.assert_array_equal(got, [[-1, -1, -1]])


def test_inputs_without_a_name_of_their_own_get_a_plain_one():
    a, b = keras.Input((3,)), keras.Input((4,))
    two = keras.Model([a, b], keras.layers.Concatenate()([a, b]))

    assert shapes(two) == {"input_0": (None, 3), "input_1": (None, 4)}
    assert shapes(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])) == {
        "images": (None, 3)
    }


def test_the_batch_is_open_unless_it_is_fixed(student):
    assert shapes(student) == {"images": (None, 8, 8, 3)}
    assert shapes(student, 1) == {"images": (1, 8, 8, 3)}


def test_an_integer_input_keeps_its_dtype(tmp_path, photos):
    inputs = keras.Input((8, 8, 3), dtype="uint8")
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    student = keras.Model(inputs, keras.layers.Dense(3)(x))

    assert student_inputs(student, None).specs["images"].dtype == tf.uint8
    result = export.to_tflite(student, tmp_path / "u.tflite", verification_data=photos)

    assert export.LiteModel(result.path).input_dtype == np.uint8
    assert result.largest_difference < 1e-5


def test_outputs_are_named_by_key_or_in_order():
    assert named_outputs("x") == {"output_0": "x"}
    assert named_outputs(["x", "y"]) == {"output_0": "x", "output_1": "y"}
    assert named_outputs({"b": "x", "a": "y"}) == {"b": "x", "a": "y"}
    assert named_outputs({"a": ["x", "y"]}) == {"output_0": "x", "output_1": "y"}


def test_outputs_are_called_after_the_layers_that_have_names():
    inputs = keras.Input((3,))
    named, made_up = keras.layers.Dense(2, name="logits"), keras.layers.Dense(2)

    one = keras.Model(inputs, named(inputs))
    two = keras.Model(inputs, [named(inputs), made_up(inputs)])

    assert list(named_outputs(one(np.ones((1, 3))), one)) == ["logits"]
    assert list(named_outputs(two(np.ones((1, 3))), two)) == ["output_0", "output_1"]


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Conv2D(1, 1),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.ReLU(),
        keras.layers.SeparableConv2D(1, 1),
        keras.layers.Dense(1),
    ],
)
def test_names_that_keras_invents_are_not_taken_for_names(layer):
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, layer(inputs))

    assert list(named_outputs(model(np.ones((1, 4, 4, 3))), model)) == ["output_0"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["größe"], ["gr__e"]),
        (["_x"], ["x"]),
        (["ü"], ["images"]),
        (["a b", "_c"], ["a_b", "c"]),
        (["ä", "ö"], ["input_0", "input_1"]),
        (["_a", "a"], ["input_0", "input_1"]),
    ],
)
def test_names_that_tensorflow_does_not_take_get_others(names, expected, tmp_path):
    inputs = [keras.Input((4,), name=name) for name in names]
    x = inputs[0] if len(inputs) == 1 else keras.layers.Concatenate()(inputs)
    student = keras.Model(inputs, {"maß": keras.layers.Dense(2)(x)})
    values = np.ones((3, 4), "float32")

    export.to_tflite(
        student,
        tmp_path / "s.tflite",
        verification_data=tf.data.Dataset.from_tensors(
            (((values,) * len(names) if len(names) > 1 else values), 0)
        ),
        input_range=None,
    )
    model = export.LiteModel(tmp_path / "s.tflite")

    assert list(model.input_names) == expected
    assert model.output_names == ("maß",)


def test_a_student_of_strings_is_told_to_leave_the_lookup_out(tmp_path):
    words = keras.Input((1,), dtype="string")
    ids = keras.layers.StringLookup(vocabulary=["a", "b"])(words)
    behind = keras.Sequential([keras.Input((1,), dtype="int32"), keras.layers.Embedding(4, 3)])

    with pytest.raises(ValueError, match="look-up of strings.*StringLookup.*takes its ids"):
        export.to_tflite(keras.Model(words, behind(ids)), tmp_path / "s.tflite")
    result = export.to_tflite(
        behind, tmp_path / "s.tflite", verification_data=np.array([[1], [2]]), input_range=None
    )
    assert result.largest_difference == 0


def test_a_student_of_open_size_is_exported_without_a_word(tmp_path):
    inputs = keras.Input((None, None, 3))
    student = keras.Model(inputs, keras.layers.UpSampling2D()(inputs))
    photos = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), dtype="uint8")

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        result = export.to_tflite(student, tmp_path / "s.tflite", verification_data=photos)

    got = export.LiteModel(result.path).predict(photos)
    np.testing.assert_array_equal(got, photos.repeat(2, axis=1).repeat(2, axis=2))


@pytest.mark.parametrize(
    ("name", "layer"), [("net", "gr\u00f6\u00dfe"), ("net", "_hidden"), ("Netz 1", "hidden")]
)
def test_names_that_no_graph_takes_are_refused_and_the_remedy_works(name, layer, tmp_path):
    def build(name, layer):
        inputs = keras.Input((4,))
        hidden = keras.layers.Dense(3, name=layer)(inputs)
        return keras.Model(inputs, keras.layers.Dense(2, name="logits")(hidden), name=name)

    student = build(name, layer)
    refused = name if name != "net" else layer
    with pytest.raises(ValueError, match=rf"other names.*set_weights.*\['{refused}'\]"):
        export.to_tflite(student, tmp_path / "s.tflite")

    copy = build("net", "hidden")
    copy.set_weights(student.get_weights())
    assert export.to_tflite(copy, tmp_path / "s.tflite").largest_difference < 1e-2


def test_an_underscore_inside_another_model_is_fine(tmp_path):
    inputs = keras.Input((4,))
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="_d")], name="inner")

    export.to_tflite(keras.Model(inputs, inner(inputs)), tmp_path / "s.tflite")
