"""A quantised file that does not answer as its student does is made again, or refused by name."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras import export
from kd_keras.export.judging import Bar

CHANNELS = 32


@pytest.fixture(scope="module")
def heard() -> tuple[keras.Model, np.ndarray]:
    """A network behind log(x^2), as behind a microphone, and what it tells apart clearly.

    The first of 32 amplitudes is loud and says nothing; the quiet ones hold the class.
    """
    keras.utils.set_random_seed(0)
    inputs = keras.Input((CHANNELS,), name="amplitudes")
    x = keras.layers.Dense(CHANNELS, use_bias=False, name="mix")(keras.ops.square(inputs))
    x = keras.ops.log(keras.ops.maximum(x, 1e-5))
    x = keras.layers.Dense(CHANNELS, activation="relu", name="hidden")(x)
    student = keras.Model(inputs, keras.layers.Dense(6, name="logits")(x))
    student.get_layer("mix").set_weights([np.eye(CHANNELS, dtype="float32")])
    kernel, bias = student.get_layer("hidden").get_weights()
    kernel[0] = 0.0
    student.get_layer("hidden").set_weights([kernel, bias])
    drawn = np.random.default_rng(0).uniform(0.01, 1, (900, CHANNELS)).astype("float32")
    drawn[:, 0] = np.random.default_rng(1).uniform(100, 255, len(drawn))
    # So that every class is the answer somewhere.
    student.get_layer("logits").bias.assign(-np.mean(student(drawn), axis=0))
    best = np.sort(student(drawn), axis=-1)
    return student, drawn[np.argsort(best[:, -2] - best[:, -1])[:150]]


@pytest.fixture(scope="module")
def listener(heard) -> keras.Model:
    return heard[0]


@pytest.fixture(scope="module")
def energies(heard) -> np.ndarray:
    return heard[1]


@pytest.mark.parametrize("preset", ["int8", pytest.param("dynamic", marks=pytest.mark.slow)])
def test_a_front_end_that_does_not_stand_int8_stays_in_float32(
    preset, listener, energies, tmp_path
):
    plain = export.to_tflite(
        listener, tmp_path / "p.tflite", preset, energies, min_agreement=None, batch_size=1
    )
    with pytest.warns(UserWarning, match=f"The {preset} file keeps .*in float32.*: "):
        kept = export.to_tflite(listener, tmp_path / "k.tflite", preset, energies, batch_size=1)

    assert plain.agreement < 0.9, "nothing would be seen otherwise"
    assert plain.kept_float == ()
    assert kept.agreement >= 0.98
    names = " ".join(kept.kept_float)
    assert "FULLY_CONNECTED" in names and "mix" in names and "logits" not in names
    dense = [
        each.inputs[1]
        for each in export.LiteModel(kept.path).operators()
        if each.name == "FULLY_CONNECTED"
    ]
    assert sorted(dense) == ["float32", "int8", "int8"] or dense == ["float32", "int8", "float32"]
    if preset == "int8":
        assert kept.float_operators == ("FULLY_CONNECTED", "LOG", "MAXIMUM", "SQUARE")


@pytest.mark.slow
def test_what_cannot_be_kept_apart_is_refused_and_the_remedy_works(listener, energies, tmp_path):
    path = tmp_path / "s.tflite"
    path.write_bytes(b"previous")

    with pytest.raises(ValueError, match=r"same answer on .* min_agreement=0\.98") as refused:
        # Bytes at the border leave no place for a float front.
        export.to_tflite(listener, path, "int8", energies, output_dtype="int8")

    assert "The operators that lose most: QUANTIZE 'tfl.quantize'" in str(refused.value)
    assert path.read_bytes() == b"previous"
    assert "'float16' or 'weight_only'" in str(refused.value)
    for preset in ("float16", "weight_only"):
        result = export.to_tflite(listener, path, preset, verification_data=energies)
        assert result.agreement >= 0.98


@pytest.mark.slow
def test_float16_that_clips_is_refused_and_float32_is_not(tmp_path):
    inputs = keras.Input((4,))
    student = keras.Model(inputs, keras.layers.Rescaling(250_000.0, 100_000.0)(inputs))
    values = np.random.default_rng(0).uniform(0, 1, (64, 4)).astype("float32")
    arguments = {"verification_data": values, "input_range": (0, 1)}

    with pytest.raises(ValueError, match=r"float16 file does not.*65504.*quantization='none'"):
        export.to_tflite(student, tmp_path / "s.tflite", "float16", **arguments)
    result = export.to_tflite(student, tmp_path / "s.tflite", "none", **arguments)

    assert result.largest_difference <= 0.04


def test_random_images_are_no_judge_and_warn(listener, tmp_path):
    listener = keras.Model(listener.inputs, listener.outputs)

    with pytest.warns(UserWarning, match="On random images the dynamic file.*verification_data="):
        export.to_tflite(listener, tmp_path / "s.tflite", "dynamic", min_agreement=1.0)


def difference(agreement, error=0.0, name="logits"):
    return export.OutputDifference(name, 1.0, 1.0, agreement, error)


@pytest.mark.parametrize(
    ("preset", "found", "message"),
    [
        ("int8", difference(0.98), None),
        ("int8", difference(0.979), "97.9 % of 1000 examples"),
        ("int8", difference(0.98, error=0.9), None),
        ("float16", difference(0.99, error=0.051), "off by 5.1 % .* 5 % is allowed"),
        ("int8", difference(0.1, error=0.25, name="box"), None),
        ("int8", difference(0.1, error=0.26, name="box"), "'box' is off by 26 %"),
        ("int8", difference(None, error=0.26), "off by 26 %"),
        ("none", difference(0.1, error=1.0), None),
    ],
)
def test_class_outputs_are_judged_by_their_answers_and_others_by_their_values(
    preset, found, message
):
    missed = Bar(preset, "logits", 0.98, 1000).missed([found])

    if message is None:
        assert missed is None
    else:
        with pytest.raises(ValueError, match=message):
            raise ValueError(missed)


def test_one_of_few_examples_may_differ():
    bar = Bar("int8", "logits", 0.98, 10)
    assert bar.missed([difference(0.9)]) is None
    assert bar.missed([difference(0.8)]) is not None
    assert Bar("int8", "logits", None, 10).missed([difference(0.0)]) is None


class LouderThanBatch(keras.layers.Layer):
    """Its output depends on the other examples of the batch, as top_db of a spectrogram does."""

    def call(self, inputs):
        return keras.ops.maximum(inputs, keras.ops.max(inputs) - 100.0)


def test_a_student_whose_examples_see_each_other_is_compared_at_the_files_batch_size(tmp_path):
    inputs = keras.Input((4,))
    student = keras.Model(inputs, LouderThanBatch()(inputs))
    values = np.random.default_rng(0).uniform(0, 255, (40, 4)).astype("float32")

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        result = export.to_tflite(
            student, tmp_path / "s.tflite", verification_data=values, batch_size=1
        )

    assert result.largest_difference == 0.0
    got = export.LiteModel(result.path).predict(values)
    np.testing.assert_array_equal(got, np.maximum(values, values.max(-1, keepdims=True) - 100))


@pytest.mark.parametrize("share", [-0.1, 1.1, "all"])
def test_the_bar_is_a_share(share, listener, tmp_path):
    with pytest.raises(ValueError, match=r"`min_agreement` must be .*share, such as 0\.98"):
        export.to_tflite(listener, tmp_path / "s.tflite", min_agreement=share)


@pytest.fixture(scope="module")
def coloured() -> np.ndarray:
    """Images that are brightest in one of three colours."""
    colours = np.random.default_rng(0).integers(0, 3, 120)
    images = np.random.default_rng(1).integers(0, 100, (120, 8, 8, 3))
    images[np.arange(120), :, :, colours] += 120
    return images.astype("uint8")


@pytest.fixture
def silent() -> keras.Model:
    """A student that tells colours; one of its layers is 0 on all images."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    dead = keras.layers.Conv2D(4, 3, activation="relu", name="dead")(x)
    behind = keras.layers.Conv2D(3, 1, name="behind")(dead)
    both = [keras.layers.GlobalAveragePooling2D()(each) for each in (x, behind)]
    student = keras.Model(
        inputs, keras.layers.Dense(3, name="logits")(keras.layers.Concatenate()(both))
    )
    kernel, bias = student.get_layer("dead").get_weights()
    student.get_layer("dead").set_weights([kernel, bias - 50])
    student.get_layer("behind").bias.assign([4, 2, 1])
    # What the layer behind the dead one adds is taken away again: without it one class always wins.
    last = student.get_layer("logits")
    last.set_weights([np.concatenate([5 * np.eye(3), 3 * np.eye(3)]), np.array([-12, -6, -3])])
    return student


def test_a_layer_that_is_silent_on_the_examples_gets_a_range(silent, coloured, tmp_path):
    path = tmp_path / "s.tflite"
    with pytest.raises(ValueError, match=r"silent on the calibration images.*Leave input_dtype"):
        export.to_tflite(silent, path, "int8", coloured, input_dtype="uint8")

    result = export.to_tflite(silent, path, "int8", coloured)

    assert result.agreement >= 0.98
    assert (result.kept_float, result.float_operators) == ((), ())


def test_a_silent_dense_layer_ends_no_process(tmp_path):
    """LiteRT's XNNPACK frees memory twice where it is to refuse such a file."""
    keras.utils.set_random_seed(0)
    student = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(8, activation="relu", name="dead"),
            keras.layers.Dense(3, name="logits"),
        ]
    )
    kernel, bias = student.get_layer("dead").get_weights()
    student.get_layer("dead").set_weights([-np.abs(kernel), bias - 1])
    images = np.random.default_rng(0).uniform(0, 1, (120, 8, 8, 1)).astype("float32")

    student.export(tmp_path / "saved", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in images)
    (tmp_path / "narrow.tflite").write_bytes(converter.convert())
    with pytest.raises(ValueError, match="range of '.*dead.*' is too narrow for the weights"):
        export.LiteModel(tmp_path / "narrow.tflite")
    result = export.to_tflite(student, tmp_path / "s.tflite", "int8", images, input_range=(0, 1))
    assert result.agreement == 1.0
    assert result.kept_float == ()


@pytest.mark.slow
def test_a_silent_layer_in_int16_is_refused_by_the_name_of_the_one_behind_it(
    silent, coloured, tmp_path
):
    with pytest.raises(ValueError, match=r"int16x8 file does not answer.*CONV_2D '[^']*behind"):
        export.to_tflite(silent, tmp_path / "s.tflite", "int16x8", coloured)
    # The remedy that it names.
    result = export.to_tflite(silent, tmp_path / "s.tflite", "float16", verification_data=coloured)
    assert result.agreement == 1.0


@pytest.mark.slow
def test_what_a_dynamic_file_leaves_in_float_is_told(tmp_path, photos):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Flatten()(keras.layers.Conv2D(2, 3, name="small")(inputs))
    student = keras.Model(inputs, keras.layers.Dense(32)(x))

    stored = {
        preset: export.to_tflite(
            student,
            tmp_path / "s.tflite",
            preset,
            photos,
            verification_data=photos,
            min_agreement=None,
        ).stored_weights
        for preset in ("none", "float16", "dynamic", "int8")
    }

    small, large = 3 * 3 * 3 * 2, 72 * 32
    assert stored == {
        "none": {"float32": large + small},
        "float16": {"float16": large + small},
        "dynamic": {"int8": large, "float32": small},
        "int8": {"int8": large + small},
    }


@pytest.mark.parametrize(
    "layer",
    [
        "GRU",
        pytest.param("LSTM", marks=pytest.mark.slow),
        pytest.param("SimpleRNN", marks=pytest.mark.slow),
    ],
)
def test_a_recurrent_student_becomes_int8_without_ending_the_process(layer, tmp_path):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,), dtype="int32", name="words")
    recurrent = getattr(keras.layers, layer)(8, name="recurrent")
    x = recurrent(keras.layers.Embedding(20, 8)(inputs))
    student = keras.Model(inputs, keras.layers.Dense(3)(x))
    # As after training: gates that open and close, of whose values int8 sees more than a few steps.
    table = student.layers[1]
    table.set_weights([60 * weight for weight in table.get_weights()])
    words = np.random.default_rng(0).integers(0, 20, (120, 6))

    result = export.to_tflite(
        student, tmp_path / "r.tflite", "int8", words, input_range=None, min_agreement=None
    )

    assert result.agreement >= 0.9
    assert recurrent.unroll is False
    got = export.LiteModel(result.path).predict(words)
    expected = student(words).numpy()
    assert np.abs(got - expected).mean() < 0.1 * np.abs(expected - expected.mean()).mean()


def test_a_recurrent_student_of_open_length_is_told_to_fix_it(tmp_path):
    inputs = keras.Input((None,), dtype="int32")
    x = keras.layers.GRU(4, name="recurrent")(keras.layers.Embedding(20, 4)(inputs))
    student = keras.Model(inputs, keras.layers.Dense(3)(x))
    words = np.zeros((100, 6), "int32")

    with pytest.raises(ValueError, match=r"keras\.Input\(\(length, \.\.\.\)\).*'recurrent'"):
        export.to_tflite(student, tmp_path / "r.tflite", "int8", words, input_range=None)


@pytest.mark.slow
def test_close_calls_are_told_from_operators_that_lose(student, photos, tmp_path):
    # All four classes the same but for a trifle: the rounding of int8 decides between them.
    level = keras.models.clone_model(student)
    level.set_weights(student.get_weights())
    kernel, bias = level.layers[-1].get_weights()
    spread = kernel.mean(axis=1, keepdims=True) + 1e-3 * (kernel - kernel.mean(axis=1)[:, None])
    level.layers[-1].set_weights([spread, bias])

    with pytest.raises(ValueError, match="No operator loses much by itself.*close calls"):
        export.to_tflite(level, tmp_path / "s.tflite", "int8", photos)
