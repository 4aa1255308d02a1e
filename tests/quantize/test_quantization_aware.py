"""The copy of a student: same function but for the rounding, same names, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as L

import kd_keras
from kd_keras import export
from kd_keras.quantize import FakeQuantize, quantization_aware
from kd_keras.quantize.calibration import in_float
from tests.quantize import students


def outputs_of(model, photos):
    return [np.asarray(y) for y in keras.tree.flatten(model(photos.astype("float32")))]


@pytest.mark.parametrize("build", students.ALL, ids=lambda build: build.__name__)
def test_the_copy_is_the_student_but_for_the_rounding(build, photos):
    student = build()
    graph = student._functional if isinstance(student, keras.Sequential) else student
    before = [np.array(weight) for weight in student.weights]

    copy = quantization_aware(student, photos)

    rounded = outputs_of(copy, photos)
    with in_float(copy):
        unrounded = outputs_of(copy, photos)
    for expected, folded, near in zip(outputs_of(student, photos), unrounded, rounded, strict=True):
        np.testing.assert_allclose(folded, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
        assert 0 < np.abs(near - expected).max() < 0.1 * np.ptp(expected)
    for weight, value in zip(student.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    assert copy.name == student.name
    assert [tensor.name for tensor in copy.inputs] == [tensor.name for tensor in student.inputs]
    assert copy.output_names == graph.output_names
    assert {layer.name for layer in student.layers} <= {layer.name for layer in copy.layers}
    keras.tree.assert_same_structure(copy.output, graph.output)
    assert not any(isinstance(layer, L.BatchNormalization) for layer in copy._flatten_layers())


def test_values_are_rounded_once_for_each_operator_of_the_file(photos):
    copy = quantization_aware(students.conv(), photos)
    kinds = {layer.name: type(layer).__name__ for layer in copy.layers}
    assert kinds == {
        "image": "InputLayer",
        "image_range": "FakeQuantize",
        "rescaling_scaled": "Rescaling",
        "rescaling_scaled_range": "FakeQuantize",
        "rescaling_float": "Rescaling",
        "rescaling": "FakeQuantize",
        "conv": "QuantizedConv2D",
        "norm": "Identity",
        "relu_float": "ReLU",
        "relu": "FakeQuantize",
        "features_float": "GlobalAveragePooling2D",
        "features": "FakeQuantize",
        "logits_float": "QuantizedDense",
        "logits": "FakeQuantize",
    }


def test_ranges_come_from_the_inputs_range_and_from_the_data(photos):
    student = students.conv()
    copy = quantization_aware(student, photos)
    relu = keras.Model(student.input, student.get_layer("relu").output)

    image, found = copy.get_layer("image_range"), copy.get_layer("relu")
    assert (float(image.low), float(image.high)) == (0.0, 255.0)
    assert float(found.low) == 0
    assert float(found.high) == pytest.approx(outputs_of(relu, photos)[0].max(), rel=1e-5)
    np.testing.assert_array_equal(image(photos.astype("float32")), photos)


def test_bytes_behind_the_rescaling_are_no_further_off_than_half_a_step(photos):
    copy = quantization_aware(students.conv(), photos)
    rescaled = keras.Model(copy.input, copy.get_layer("rescaling").output)
    pixels = np.arange(256, dtype="float32").repeat(3 * 64).reshape(-1, 8, 8, 3)

    error = np.asarray(rescaled(pixels)) - (pixels / 127.5 - 1)

    assert np.abs(error).max() <= 0.51 / 127
    assert abs(error.mean()) < 0.02 / 127, "halfway pixels must not all be rounded one way"


def test_a_range_that_is_not_known_is_taken_from_the_data(photos):
    copy = quantization_aware(students.conv(), photos / 2.0, input_range=None)
    image = copy.get_layer("image_range")
    assert float(image.high) == photos.max() / 2
    assert image.momentum == 0.9


def test_the_data_may_be_a_dataset_of_batches_with_labels(photos):
    labels = np.zeros(len(photos), "int64")
    dataset = tf.data.Dataset.from_tensor_slices((photos, labels)).batch(50)
    student = students.conv()

    from_dataset = quantization_aware(student, dataset, examples=60)
    from_array = quantization_aware(student, photos[:60])

    for a, b in zip(from_dataset.weights, from_array.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_a_regulariser_goes_with_the_normalisation_and_stays_without(photos):
    plain = students.chain(L.Conv2D(4, 3, kernel_regularizer="l2"), *students.head())
    assert len(quantization_aware(plain, photos).losses) == 1
    assert len(quantization_aware(students.conv(), photos).losses) == 0


def test_the_global_random_state_is_not_touched(photos):
    student = students.conv()
    keras.utils.set_random_seed(5)
    expected = keras.random.normal((3,))
    keras.utils.set_random_seed(5)
    quantization_aware(student, photos)
    np.testing.assert_array_equal(keras.random.normal((3,)), expected)


@pytest.mark.slow
def test_it_is_loaded_where_only_the_package_was_imported(photos, tmp_path):
    copy = quantization_aware(students.separable(), photos, momentum=0.5)
    copy.save(tmp_path / "copy.keras")
    np.save(tmp_path / "photos.npy", photos[:8].astype("float32"))
    code = (
        "import keras, kd_keras, json, numpy as np\n"
        f"model = keras.models.load_model({str(tmp_path / 'copy.keras')!r})\n"
        f"outputs = model(np.load({str(tmp_path / 'photos.npy')!r}))\n"
        "momenta = {getattr(layer, 'momentum', None) for layer in model.layers}\n"
        "print(json.dumps([np.asarray(outputs).tolist(), sorted(momenta - {None})]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    outputs, momenta = json.loads(done.stdout.splitlines()[-1])
    np.testing.assert_allclose(outputs, outputs_of(copy, photos[:8])[0], rtol=1e-5, atol=1e-6)
    assert momenta == [0.5]


def test_a_student_under_a_mixed_policy_becomes_float32(photos):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        student = students.conv()
    finally:
        keras.config.set_dtype_policy("float32")
    copy = quantization_aware(student, photos)
    assert {layer.compute_dtype for layer in copy.layers} == {"float32"}


def test_what_has_no_rule_stays_in_float_and_is_named(photos):
    student = students.attention()
    with pytest.warns(UserWarning, match="no int8 rule") as caught:
        copy = quantization_aware(student, photos)
    (said,) = [str(each.message) for each in caught if "no int8 rule" in str(each.message)]
    assert said.endswith(": attention (MultiHeadAttention), norm (LayerNormalization)")

    expected = outputs_of(student, photos)[0]
    with in_float(copy):
        unrounded = outputs_of(copy, photos)[0]
    np.testing.assert_allclose(unrounded, expected, rtol=1e-4, atol=1e-5)
    assert 0 < np.abs(outputs_of(copy, photos)[0] - expected).max() < 0.1 * np.ptp(expected)
    assert isinstance(copy.get_layer("attention"), FakeQuantize)


def test_layers_of_ones_own_stay_as_they_are(photos):
    @keras.saving.register_keras_serializable("tests")
    class Shifted(L.Dense):
        """Derives from a layer with a rule, and does something else."""

        def call(self, inputs):
            return super().call(inputs) + keras.ops.sin(inputs[..., :1])

    student = students.chain(L.GlobalAveragePooling2D(), Shifted(4, name="mine"), L.Dense(5))
    with pytest.warns(UserWarning, match=r"mine \(Shifted\)"):
        copy = quantization_aware(student, photos)

    assert type(copy.get_layer("mine_float")) is Shifted
    with in_float(copy):
        unrounded = outputs_of(copy, photos)[0]
    np.testing.assert_allclose(unrounded, outputs_of(student, photos)[0], rtol=1e-5, atol=1e-5)


def test_several_outputs_of_one_layer_are_each_rounded(photos):
    image = keras.Input((8, 8, 3))
    low, high = keras.ops.split(L.Conv2D(4, 3)(L.Rescaling(1 / 255)(image)), 2, axis=-1)
    student = keras.Model(image, L.Dense(5)(L.Flatten()(low * high)))
    with pytest.warns(UserWarning, match=r"split \(Split\)"):
        copy = quantization_aware(student, photos)

    expected = outputs_of(student, photos)[0]
    assert 0 < np.abs(outputs_of(copy, photos)[0] - expected).max() < 0.1 * np.ptp(expected)


def test_a_student_of_words_is_rounded_from_its_table_on(tmp_path):
    words = keras.Input((6,), dtype="int32", name="words")
    x = L.Conv1D(8, 3, activation="relu")(L.Embedding(300, 8, name="table")(words))
    student = keras.Model(words, L.Dense(3)(L.GlobalAveragePooling1D()(x)))
    sentences = np.random.default_rng(0).integers(0, 300, (120, 6))

    copy = quantization_aware(student, sentences)
    result = export.to_tflite(
        copy, tmp_path / "q.tflite", "int8", verification_data=sentences, input_range=None
    )

    table = np.unique(np.asarray(copy.get_layer("table")(np.arange(300))))
    assert len(table) <= 255
    assert result.float_operators == () and result.agreement > 0.95


def test_layers_that_cannot_be_in_a_student_are_all_listed(photos):
    image = keras.Input((8, 8, 3))
    x = L.Conv2D(4, 3, name="plain")(image)
    last = L.Dense(3, name="packed")
    student = keras.Model(image, last(L.Flatten(data_format="channels_first", name="flat")(x)))
    last.quantize("int8")
    with pytest.raises(ValueError, match="cannot be trained for int8") as raised:
        quantization_aware(student, photos)
    for part in ("flat (Flatten): channels_first", "packed (Dense): its weights are quantised"):
        assert part in str(raised.value)
    assert "plain" not in str(raised.value)


def test_a_quantisation_aware_student_is_refused(photos):
    copy = quantization_aware(students.conv(), photos)
    with pytest.raises(ValueError, match="conv .*quantisation-aware already"):
        quantization_aware(copy, photos)


def test_a_subclassed_student_is_told_what_to_do(photos):
    class Written(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = L.Dense(3)

        def call(self, images):
            return self.dense(images)

    student = Written()
    student(photos.astype("float32"))
    with pytest.raises(ValueError, match="Written has none.*functional API.*Received: student="):
        quantization_aware(student, photos)


def test_what_is_no_built_model_is_refused(photos):
    with pytest.raises(TypeError, match=r"`student` must be a `keras.Model`.*Received: student=3"):
        quantization_aware(3, photos)
    with pytest.raises(ValueError, match="has no weights yet"):
        quantization_aware(keras.Sequential([L.Dense(3)]), photos)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ("photos", TypeError, "must be an array of images"),
        (np.zeros((0, 8, 8, 3)), ValueError, "holds no examples"),
        (np.zeros((4, 9, 8, 3)), ValueError, r"Received: a batch of the shapes \[\(4, 9, 8, 3\)\]"),
        (np.full((4, 8, 8, 3), 300.0), ValueError, "in the range 0 to 255.*300"),
        (np.full((4, 8, 8, 3), 0.5), ValueError, r"input_range=\(0, 1\)"),
        (np.full((4, 8, 8, 3), np.nan), ValueError, "must be finite"),
    ],
)
def test_data_that_would_mislead_is_refused(data, error, message):
    with pytest.raises(error, match=message):
        quantization_aware(students.conv(), data)


@pytest.mark.parametrize(
    "arguments",
    [
        {"momentum": 1.0},
        {"momentum": True},
        {"examples": 0},
        {"input_range": (1, 0)},
        {"input_range": "0-255"},
    ],
    ids=str,
)
def test_bad_arguments_are_named(arguments, photos):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"`{name}` must be.*Received: {name}="):
        quantization_aware(students.conv(), photos, **arguments)


def test_the_room_is_reached_from_the_package(photos):
    assert kd_keras.quantize.FakeQuantize is FakeQuantize


def test_a_student_of_a_fixed_batch_is_calibrated_in_batches_of_its_size(photos, tmp_path):
    inputs = keras.Input((8, 8, 3), batch_size=8)
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    student = keras.Model(inputs, keras.layers.Dense(3, name="logits")(x))

    copy = quantization_aware(student, photos)
    result = export.to_tflite(copy, tmp_path / "q.tflite", "int8", verification_data=photos)

    assert copy.inputs[0].shape == (8, 8, 8, 3)
    expected = np.concatenate(
        [student(photos[i : i + 8].astype("float32")) for i in range(0, 120, 8)]
    )
    assert float(copy.get_layer("logits").high.numpy()) == pytest.approx(expected.max(), rel=1e-5)
    assert export.LiteModel(result.path).input_shape == (8, 8, 8, 3)
    assert result.agreement > 0.95
    with pytest.raises(ValueError, match="batches of the shapes .*8, 8, 8, 3"):
        quantization_aware(student, photos[:5])


def test_an_output_finer_than_the_least_range_is_refused_and_the_remedy_works(photos):
    student = students.chain(*students.head())
    last = student.get_layer("logits")
    last.set_weights([weight * 1e-4 for weight in last.get_weights()])

    with pytest.raises(ValueError, match="output 'logits'.*at least 0.001 wide.*by 1000"):
        quantization_aware(student, photos)
    last.set_weights([weight * 1000 for weight in last.get_weights()])
    copy = quantization_aware(student, photos)

    scale = np.ptp(student(photos.astype("float32")))
    difference = copy(photos.astype("float32")) - student(photos.astype("float32"))
    assert np.abs(difference).max() < 0.05 * scale
