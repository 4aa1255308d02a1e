"""Recordings are cut by speaker, and come as waveforms of one length in -1..1."""

import os
import pathlib

import numpy as np
import pytest

import kd_keras
from kd_keras.data.speech import Tones


def everything(dataset):
    pairs = list(dataset.as_numpy_iterator())
    return np.concatenate([x for x, _ in pairs]), np.concatenate([y for _, y in pairs])


@pytest.fixture(scope="module")
def tones():
    return kd_keras.data.load("tones", batch_size=50, seed=1)


def test_tones_are_of_one_form(tones):
    info = tones.info
    assert (info.task, info.input_shape, info.input_dtype) == ("audio", (4000,), "float32")
    assert info.details == {"sample_rate": 8000}
    audio, labels = everything(tones.train)
    assert audio.shape == (info.train_examples, 4000)
    assert 0.02 < np.abs(audio).max(1).min() < np.abs(audio).max() <= 1
    assert set(labels) == {0, 1, 2, 3}
    assert tones.validation.cardinality() == 2
    assert all(set(everything(part)[1]) == {0, 1, 2, 3} for part in (tones.validation, tones.test))


def test_no_speaker_is_heard_in_two_parts(tones):
    source = Tones("tones")
    speakers = np.array(source.speakers)
    stored = np.stack([audio for audio, _ in source.all_encoded().as_numpy_iterator()])
    places = {audio.tobytes(): place for place, audio in enumerate(stored)}
    heard = [
        {speakers[places[row.tobytes()]] for row in everything(part)[0]}
        for part in (tones.train, tones.validation, tones.test)
    ]
    assert heard == [{"voice0", "voice1", "voice2", "voice3"}, {"voice4"}, {"voice5"}]
    assert "by speaker: voice4 is validation, voice5 is test" in tones.info.split_rule


def test_tones_are_the_same_each_time_and_a_limit_takes_all_voices(tones):
    again = kd_keras.data.load("tones", batch_size=50, seed=1, limit=40)
    np.testing.assert_array_equal(everything(again.test)[0], everything(tones.test)[0])
    assert set(everything(again.train)[1]) == {0, 1, 2, 3}
    assert again.info.train_examples == 40


def test_a_rising_hum_rises(tones):
    audio, labels = everything(tones.test)

    def pitch(samples):
        return np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 8192))[:1200].argmax()

    def rise(row):
        sounding = np.flatnonzero(np.abs(row) > 0.3 * np.abs(row).max())
        first, last = sounding[0], sounding[-1]
        return pitch(row[last - 700 : last]) - pitch(row[first : first + 700])

    rises = [[rise(row) for row in audio[labels == label]] for label in range(2)]
    assert np.median(rises[0]) > 20
    assert np.median(rises[1]) < -20


def test_spoken_digits_hold_two_speakers_out():
    default = pathlib.Path(__file__).parents[3] / "shared" / "data" / "tensorflow_datasets"
    folder = pathlib.Path(os.environ.get("KD_KERAS_TEST_DATA_DIR", default))
    if not (folder / "spoken_digit").is_dir():
        pytest.skip(f"no prepared spoken_digit in {folder}; set KD_KERAS_TEST_DATA_DIR")
    splits = kd_keras.data.load("spoken_digit", data_dir=folder, batch_size=500, download=False)
    info = splits.info
    sizes = info.train_examples, info.validation_examples, info.test_examples
    assert sizes == (2000, 500, 500)
    assert "by speaker: theo is validation, yweweler is test" in info.split_rule
    audio, labels = everything(splits.test)
    assert audio.shape == (500, 8000)
    assert np.bincount(labels).tolist() == [50] * 10
    assert 0.01 < np.abs(audio).max() <= 1
    # Most words take less than half a second, and silence is behind them.
    assert (audio[:, 6000:] == 0).mean() > 0.9
