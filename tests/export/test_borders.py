"""What a file takes and gives: bytes of a camera, probabilities, several inputs and signatures."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras import export
from kd_keras.export.interpreter import Encoding
from tests.conftest import small_hub_backbone
from tests.export.conftest import conv_student


def taken_as_they_are(path, images):
    """What the interpreter gives for values put into its input tensor unchanged."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    (detail,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(detail["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(detail["index"], images)
    interpreter.invoke()
    (output,) = interpreter.get_output_details()
    return interpreter.get_tensor(output["index"]), output


@pytest.mark.parametrize("preset", ["none", "weight_only", "int8"])
def test_a_camera_frame_goes_in_as_its_bytes(preset, student, photos, tmp_path):
    # Darker than 0..255, so that the examples alone would give the integers another scale.
    dark = photos // 3
    expected = student(dark.astype("float32"), training=False).numpy()

    result = export.to_tflite(
        student,
        tmp_path / "s.tflite",
        preset,
        dark,
        input_dtype="uint8",
        verification_data=dark,
        batch_size=None,
    )
    got, _ = taken_as_they_are(result.path, dark)

    assert export.LiteModel(result.path).input_dtype == np.uint8
    assert np.abs(got - expected).max() < 0.2
    assert result.largest_difference == pytest.approx(np.abs(got - expected).max(), abs=1e-5)
    if preset == "int8":
        assert export.LiteModel(result.path).input_encoding == Encoding("uint8", 1.0, 0)


def test_integers_in_and_out_leave_no_float_in_the_file(student, photos, tmp_path):
    result = export.to_tflite(
        student,
        tmp_path / "s.tflite",
        "int8",
        photos,
        input_dtype="int8",
        output_dtype="int8",
        batch_size=None,
    )
    operators = export.LiteModel(result.path).operators()
    got, detail = taken_as_they_are(result.path, (photos.astype("int16") - 128).astype("int8"))
    scale, zero_point = detail["quantization"]

    assert not any("float" in dtype for each in operators for dtype in each.inputs + each.outputs)
    expected = student(photos.astype("float32"), training=False).numpy()
    assert np.abs((got.astype(int) - zero_point) * scale - expected).max() < 0.2
    assert export.LiteModel(result.path).output_encoding("output_0").dtype == "int8"


def test_int16_activations_go_in_and_out_as_int16(student, photos, tmp_path):
    result = export.to_tflite(
        student, tmp_path / "s.tflite", "int16x8", photos, input_dtype="int16", output_dtype="int16"
    )

    assert result.largest_difference < 5e-2
    assert export.LiteModel(result.path).input_dtype == np.int16
    convolutions = [
        each for each in export.LiteModel(result.path).operators() if each.name == "CONV_2D"
    ]
    assert convolutions[0].inputs[:2] == ("int16", "int8")


@pytest.mark.parametrize("preset", ["none", "int8"])
def test_probabilities_on_request(preset, student, photos, tmp_path):
    logits = student(photos.astype("float32"), training=False)

    result = export.to_tflite(student, tmp_path / "s.tflite", preset, photos, probabilities=True)
    got = export.LiteModel(result.path).predict(photos)

    tolerance = 1e-5 if preset == "none" else 0.05
    np.testing.assert_allclose(got, tf.nn.softmax(logits), atol=tolerance)
    assert result.largest_difference <= tolerance


def test_one_unit_ends_in_a_sigmoid_and_the_name_says_so(tmp_path):
    student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, name="logits")])
    x = np.linspace(0, 255, 40, dtype="float32").reshape(10, 4)

    result = export.to_tflite(student, tmp_path / "s.tflite", probabilities=True)
    model = export.LiteModel(result.path)

    assert model.output_names == ("probabilities",)
    np.testing.assert_allclose(model.predict(x), tf.sigmoid(student(x)), atol=1e-5)


@pytest.mark.parametrize(
    ("preset", "arguments", "message"),
    [
        ("none", {"input_dtype": "int8"}, "`input_dtype` must be one of 'float32', 'uint8' for"),
        ("float16", {"output_dtype": "uint8"}, "`output_dtype` must be one of 'float32' for"),
        ("int16x8", {"input_dtype": "uint8"}, "must be one of 'float32', 'int16' for"),
        ("int8", {"examples": 99}, "`examples` must be an integer >= 100"),
        ("int16x8", {"representative_data": None}, "'int16x8' needs `representative_data`"),
    ],
)
def test_what_a_preset_cannot_do_is_refused(preset, arguments, message, student, photos, tmp_path):
    arguments = {"representative_data": photos, **arguments}
    with pytest.raises(ValueError, match=message):
        export.to_tflite(student, tmp_path / "s.tflite", preset, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_student_that_takes_bytes_itself_is_not_cast(tmp_path):
    inputs = keras.Input((4,), dtype="uint8")
    student = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Rescaling(1.0)(inputs)))

    with pytest.raises(ValueError, match="`input_dtype` must be 'uint8' or None for this student"):
        export.to_tflite(student, tmp_path / "s.tflite", input_dtype="float32")


@pytest.fixture(scope="module")
def two_headed():
    """A student of an image and a number, with logits and a box."""
    keras.utils.set_random_seed(3)
    image, angle = keras.Input((8, 8, 3), name="image"), keras.Input((1,), name="angle")
    x = keras.layers.Conv2D(4, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Concatenate()([x, angle])
    outputs = {"logits": keras.layers.Dense(5)(x), "box": keras.layers.Dense(4)(x)}
    return keras.Model({"image": image, "angle": angle}, outputs)


@pytest.mark.parametrize("preset", ["none", "int8"])
@pytest.mark.parametrize("batch_size", [None, 3])
def test_several_inputs_and_outputs_keep_their_names(
    preset, batch_size, two_headed, photos, tmp_path
):
    angle = np.linspace(-1, 1, len(photos), dtype="float32")[:, None]
    inputs = {"image": photos, "angle": angle}

    result = export.to_tflite(
        two_headed, tmp_path / "s.tflite", preset, inputs, batch_size=batch_size
    )
    model = export.LiteModel(result.path)
    got = model.predict({"image": photos[:7], "angle": angle[:7]})
    expected = two_headed({"image": photos[:7].astype("float32"), "angle": angle[:7]})

    assert (model.input_names, model.output_names) == (("angle", "image"), ("box", "logits"))
    assert model.input_shapes["image"] == (batch_size, 8, 8, 3)
    for name in ("box", "logits"):
        tolerance = 1e-5 if preset == "none" else 0.05
        np.testing.assert_allclose(got[name], expected[name], atol=tolerance)
    assert {each.name for each in result.outputs} == {"box", "logits"}


def test_a_file_of_several_inputs_says_what_it_takes(two_headed, photos, tmp_path):
    result = export.to_tflite(
        two_headed,
        tmp_path / "s.tflite",
        verification_data={"image": photos, "angle": np.zeros((len(photos), 1))},
    )
    model = export.LiteModel(result.path)

    with pytest.raises(ValueError, match=r"must take one input.*\['angle', 'image'\]"):
        model.predict(photos)
    with pytest.raises(ValueError, match=r"dict of the inputs \['angle', 'image'\].*\['image'\]"):
        model.predict({"image": photos})
    with pytest.raises(ValueError, match="equally many of each"):
        model.predict({"image": photos, "angle": np.zeros((3, 1))})


@pytest.mark.parametrize("preset", ["none", pytest.param("int8", marks=pytest.mark.slow)])
def test_a_file_offers_several_signatures_over_one_set_of_weights(preset, photos, tmp_path):
    student = conv_student()
    close_calls = {"min_agreement": None}  # it is untrained
    hidden = keras.Model(student.inputs, student.layers[-2].output)
    alone = export.to_tflite(student, tmp_path / "alone.tflite", preset, photos, **close_calls)

    result = export.to_tflite(
        student,
        tmp_path / "both.tflite",
        preset,
        photos,
        signatures={"features": hidden},
        **close_calls,
    )
    both = export.LiteModel(result.path)
    features = export.LiteModel(result.path, signature="features")

    assert sorted(both.signatures) == ["features", "serving_default"]
    expected = hidden([photos.astype("float32")], training=False).numpy()
    tolerance = 1e-5 * expected.max() if preset == "none" else 0.05 * expected.max()
    np.testing.assert_allclose(features.predict(photos), expected, atol=tolerance)
    np.testing.assert_allclose(
        both.predict(photos), export.LiteModel(alone.path).predict(photos), atol=0.1
    )
    assert len(result.outputs) == 2
    assert result.bytes < 1.6 * alone.bytes
    with pytest.raises(ValueError, match=r"one of \['features', 'serving_default'\]"):
        export.LiteModel(result.path, signature="logits")


def test_signatures_are_functions_with_names_of_their_own(student, tmp_path):
    with pytest.raises(TypeError, match="must map names to models or functions"):
        export.to_tflite(student, tmp_path / "s.tflite", signatures={"features": "dense"})
    with pytest.raises(ValueError, match="must not name 'serving_default'"):
        export.to_tflite(student, tmp_path / "s.tflite", signatures={"serving_default": student})


def test_a_kerashub_classifier_is_exported_like_any_other(tmp_path):
    keras_hub = pytest.importorskip("keras_hub", reason="keras-hub is not installed")
    backbone = small_hub_backbone(32)
    student = keras_hub.models.ImageClassifier(backbone=backbone, num_classes=4)
    photos = np.random.default_rng(0).integers(0, 256, (100, 32, 32, 3), dtype="uint8")

    result = export.to_tflite(student, tmp_path / "hub.tflite", "int8", photos)

    assert result.float_operators == ()
    assert result.agreement > 0.9
    assert export.LiteModel(result.path).output_names == ("predictions",)
