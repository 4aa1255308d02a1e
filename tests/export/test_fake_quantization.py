"""The int8 file of a student with trained ranges: it agrees, and all of it is integer."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kd_keras import export
from kd_keras.export.fake_quantization import check_steps, output_steps
from kd_keras.quantize import quantization_aware
from tests.quantize import students

# Steps of the output between the file and the copy, measured: at most 3, in the mean 0.3.
LARGEST, MEAN = 3.0, 0.35


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(students.separable, marks=pytest.mark.slow),
        pytest.param(students.activations, marks=pytest.mark.slow),
        students.blocks,
        pytest.param(students.branches, marks=pytest.mark.slow),
        pytest.param(students.mobilenet, marks=pytest.mark.slow),
    ],
    ids=lambda build: build.__name__,
)
def test_the_file_is_integer_and_agrees_with_the_copy(build, photos, tmp_path):
    copy = quantization_aware(build(), photos)

    result = export.to_tflite(copy, tmp_path / "q.tflite", "int8", verification_data=photos)

    model = export.LiteModel(result.path)
    assert model.float_operators() == ()
    assert any(operator.inputs[:2] == ("int8", "int8") for operator in model.operators())
    steps = output_steps(model)
    assert set(steps) == set(model.output_names)
    got = model.predict_all(photos)
    expected = copy(photos.astype("float32"))
    if not isinstance(expected, dict):
        expected = {model.output_names[0]: expected}
    for name, step in steps.items():
        difference = np.abs(got[name] - np.asarray(expected[name])) / step
        assert difference.max() <= LARGEST + 1e-3
        assert difference.mean() <= MEAN
        assert np.ptp(expected[name]) > 50 * step, "most levels of the output must be in use"


@pytest.mark.slow
def test_what_stays_in_float_does_so_in_the_file(photos, tmp_path):
    with pytest.warns(UserWarning, match="no int8 rule"):
        copy = quantization_aware(students.attention(), photos)

    with pytest.warns(UserWarning, match="calculates these operators in float: .*BATCH_MATMUL"):
        result = export.to_tflite(copy, tmp_path / "q.tflite", "int8", verification_data=photos)

    # The kernels of the attention too are stored as bytes: what is not is gammas and biases.
    assert result.stored_weights["float32"] < 0.1 * result.stored_weights["int8"]
    assert "CONV_2D" not in result.float_operators
    step = output_steps(export.LiteModel(result.path))["logits"]
    # The softmax of the attention hands on where two levels part.
    assert result.largest_difference <= 2 * LARGEST * step


def mobilenet_v3() -> keras.Model:
    return keras.applications.MobileNetV3Small(
        (32, 32, 3), alpha=0.5, weights=None, classes=5, classifier_activation=None
    )


def efficientnet_v2() -> keras.Model:
    """EfficientNetV2B0 up to its first gated blocks: what follows repeats them."""
    whole = keras.applications.EfficientNetV2B0(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    x = whole.get_layer("block4b_add").output
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(whole.input, keras.layers.Dense(5)(x))


@pytest.mark.slow
@pytest.mark.parametrize("build", [mobilenet_v3, efficientnet_v2])
def test_an_application_of_keras_trains_with_the_rounding_of_its_file(build, tmp_path):
    keras.utils.set_random_seed(0)
    photos = np.random.default_rng(0).integers(0, 256, (32, 32, 32, 3)).astype("float32")
    student = build()
    for layer in student.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.5
    for _ in range(6):  # statistics of its own, as training leaves them
        student(photos, training=True)

    copy = quantization_aware(student, photos)
    copy.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    copy.fit(photos, np.arange(32) % 5, verbose=0)
    # It is refused where it is further from the copy than its depth explains.
    result = export.to_tflite(copy, tmp_path / "q.tflite", "int8", verification_data=photos)

    assert result.float_operators == ()
    assert list(result.stored_weights) == ["int8"]


@pytest.mark.slow
def test_the_file_has_the_ranges_of_the_copy_and_not_of_other_data(photos, tmp_path):
    copy = quantization_aware(students.conv(), photos)
    dark = photos // 16
    copy.get_layer("logits").low.assign(-1.0)
    copy.get_layer("logits").high.assign(1.55)

    results = [
        export.to_tflite(copy, tmp_path / name, "int8", data, verification_data=photos)
        for name, data in (("a.tflite", None), ("b.tflite", dark))
    ]

    assert output_steps(export.LiteModel(results[0].path)) == {"logits": pytest.approx(0.01)}
    assert results[0].sha256 == results[1].sha256


def test_other_presets_are_refused_for_it(photos, tmp_path):
    copy = quantization_aware(students.conv(), photos)
    for preset in ("none", "float16", "dynamic"):
        with pytest.raises(ValueError, match=f"trained int8 ranges.*quantization='{preset}'"):
            export.to_tflite(copy, tmp_path / "q.tflite", preset)
    assert not list(tmp_path.iterdir())


def test_a_student_without_trained_ranges_still_needs_data(tmp_path):
    with pytest.raises(ValueError, match="needs `representative_data`"):
        export.to_tflite(students.conv(), tmp_path / "q.tflite", "int8")


def test_the_copy_takes_bytes_and_a_fake_quantised_student_of_other_make_counts(photos, tmp_path):
    # Not of this package's layers: Keras's own function, rounding where TFLite does.
    def rounded(x, low, high):
        return keras.quantizers.fake_quant_with_min_max_vars(x, low, high)

    image = keras.Input((8, 8, 3), dtype="uint8")
    x = keras.layers.Lambda(lambda x: rounded(keras.ops.cast(x, "float32"), 0.0, 255.0))(image)
    x = keras.layers.Lambda(lambda x: rounded(keras.ops.mean(x, axis=(1, 2)), 0.0, 255.0))(x)
    student = keras.Model(image, x)

    result = export.to_tflite(student, tmp_path / "q.tflite", "int8", verification_data=photos)

    assert result.float_operators == ()
    assert result.largest_difference <= 1.001


@pytest.mark.parametrize(
    ("mean", "largest", "message"),
    [
        (0.9, 15.9, None),
        (1.1, 3.0, "1.1 quantisation steps in the mean"),
        (0.5, 17.0, "17 at most"),
    ],
)
def test_a_file_further_away_than_the_tolerance_is_refused(
    mean, largest, message, photos, tmp_path
):
    copy = quantization_aware(students.chain(*students.head()), photos)
    model = export.LiteModel(export.to_tflite(copy, tmp_path / "q.tflite", "int8").path)
    step = output_steps(model)["logits"]
    differences = (export.OutputDifference("logits", largest * step, mean * step, 1.0),)

    if message is None:
        check_steps(model, differences)
    else:
        with pytest.raises(ValueError, match=f"trained ranges does: output 'logits'.*{message}"):
            check_steps(model, differences)


def test_a_deep_file_may_differ_by_the_root_of_its_depth(photos, tmp_path, monkeypatch):
    copy = quantization_aware(students.chain(*students.head()), photos)
    model = export.LiteModel(export.to_tflite(copy, tmp_path / "q.tflite", "int8").path)
    step = output_steps(model)["logits"]
    # 48 operators that round: twice the tolerance of 12.
    deep = (export.Operator("CONV_2D", ("int8",), ("int8",)),) * 48
    monkeypatch.setattr(export.LiteModel, "operators", lambda self: deep)

    check_steps(model, (export.OutputDifference("logits", 31 * step, 1.9 * step, 1.0),))
    for largest, mean in ((33, 1.0), (3, 2.1)):
        found = export.OutputDifference("logits", largest * step, mean * step, 1.0)
        with pytest.raises(ValueError, match="2 and 32 are allowed for its 48 operators"):
            check_steps(model, (found,))


def test_a_file_may_differ_as_the_two_sets_of_kernels_do_on_it(photos, tmp_path, monkeypatch):
    copy = quantization_aware(students.chain(*students.head()), photos)
    model = export.LiteModel(export.to_tflite(copy, tmp_path / "q.tflite", "int8").path)
    step = output_steps(model)["logits"]
    plain = export.LiteModel.predict_all

    def apart(self, images, batch_size=32):
        outputs = plain(self, images, batch_size)
        return outputs if self is model else {"logits": outputs["logits"] + 4 * step}

    monkeypatch.setattr(export.LiteModel, "predict_all", apart)
    near, far = (
        (export.OutputDifference("logits", steps * step, steps * step, 1.0),) for steps in (5, 7)
    )
    check_steps(model, near, {"image": photos})
    with pytest.raises(ValueError, match="7 quantisation steps in the mean"):
        check_steps(model, far, {"image": photos})
    with pytest.raises(ValueError, match="5 quantisation steps in the mean"):
        check_steps(model, near)
