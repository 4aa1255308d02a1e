"""A network behind a mel spectrogram keeps its accuracy on real recordings, under every preset."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kd_keras import export

SAMPLES = 4096


@pytest.fixture(scope="module")
def recordings():
    """Spoken digits of six speakers, as (training x, y, test x, y); the test set is TFDS's own."""
    tfds = pytest.importorskip("tensorflow_datasets")
    try:
        dataset = tfds.load("spoken_digit", split="train", download=False)
    except Exception as error:  # whatever TFDS says of data that are not there
        pytest.skip(f"spoken_digit is not prepared in TFDS_DATA_DIR: {type(error).__name__}")
    x, y, test = [], [], []
    for each in dataset.as_numpy_iterator():
        samples = each["audio"][:SAMPLES].astype("float32")
        x.append(np.pad(samples, (0, SAMPLES - len(samples))))
        y.append(int(each["label"]))
        number = each["audio/filename"].decode().removesuffix(".wav").rpartition("_")[2]
        test.append(int(number) < 5)
    x, y, test = np.stack(x), np.array(y), np.array(test)
    return x[~test], y[~test], x[test], y[test]


@pytest.fixture(scope="module")
def listener(recordings):
    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input((SAMPLES,), name="audio")
    x = layers.MelSpectrogram(
        fft_length=256,
        sequence_stride=128,
        sampling_rate=8000,
        num_mel_bins=40,
        min_freq=60.0,
        max_freq=4000.0,
    )(layers.Rescaling(1 / 32768.0)(inputs))
    x = layers.Rescaling(1 / 20.0, 1.0)(layers.Reshape((40, -1, 1))(x))
    for filters in (16, 32):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.MaxPooling2D(2)(layers.ReLU()(x))
    student = keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    student.compile("adam", loss)
    student.fit(*recordings[:2], batch_size=16, epochs=3, verbose=0)
    return student


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .* file keeps these operators:UserWarning")
def test_accuracy_on_recordings_is_that_of_keras(listener, recordings, tmp_path):
    x, _, test_x, test_y = recordings
    answers = listener.predict(test_x, batch_size=1, verbose=0).argmax(-1)
    right = np.mean(answers == test_y)
    assert right > 0.8

    kept = {}
    for preset in ("none", "float16", "dynamic", "int8"):
        result = export.to_tflite(
            listener,
            tmp_path / "s.tflite",
            preset,
            x[:500] if preset == "int8" else None,
            verification_data=test_x,
            input_range=(-32768, 32767),
        )
        got = export.LiteModel(result.path).predict(test_x).argmax(-1)
        assert np.mean(got == test_y) >= right - 0.005, preset
        kept[preset] = result.kept_float

    assert kept["none"] == kept["float16"] == ()
    # Measured: the mel filter bank; and from the samples to the logarithm.
    assert [each.split()[0] for each in kept["dynamic"]] == ["FULLY_CONNECTED"]
    assert any(each.startswith("LOG") for each in kept["int8"])
    assert "CONV_2D" not in result.float_operators
    # TFLite has no integer kernel of a Fourier transform, and 16 bits are not enough for squares.
    with pytest.raises(ValueError, match=r"int16x8 file does not answer.*lose most: .*'float16'"):
        export.to_tflite(
            listener,
            tmp_path / "s.tflite",
            "int16x8",
            x[:100],
            verification_data=test_x,
            input_range=(-32768, 32767),
        )
