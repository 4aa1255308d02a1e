"""A folder of .wav files becomes recordings of one second, cut by speaker where names say who."""

import wave

import numpy as np
import pytest

import kd_keras
from kd_keras.recipes import recipe_for

RATE = 4000
RANDOM = np.random.default_rng(0)


def write(path, rate=RATE, channels=1, samples=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = RANDOM.integers(-9000, 9000, 300) if samples is None else samples
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(np.asarray(samples, "<i2").tobytes())
    return path


def loaded(dataset):
    pairs = list(dataset.as_numpy_iterator())
    return np.concatenate([x for x, _ in pairs]), np.concatenate([y for _, y in pairs])


@pytest.fixture
def words(tmp_path):
    """Two words by six speakers, twice each; the samples tell who speaks."""
    for word in ("no", "yes"):
        for speaker in range(6):
            for time in range(2):
                samples = np.full(200, 1000 * (speaker + 1))
                write(
                    tmp_path / "words" / word / f"{speaker:08x}_nohash_{time}.wav", samples=samples
                )
    return tmp_path / "words"


def test_whole_speakers_are_held_out(words):
    splits = kd_keras.data.load(words, batch_size=4)
    info = splits.info
    assert (info.task, info.input_shape, info.class_names) == ("audio", (RATE,), ("no", "yes"))
    assert info.details == {"sample_rate": RATE}
    assert info.split_rule.endswith(", by speaker")
    parts = [loaded(part) for part in (splits.train, splits.validation, splits.test)]
    heard = [set((audio[:, 0] * 32768).round().tolist()) for audio, _ in parts]
    assert [len(speakers) for speakers in heard] == [4, 1, 1]
    assert len(set.union(*heard)) == 6
    assert [np.bincount(labels).tolist() for _, labels in parts] == [[8, 8], [2, 2], [2, 2]]
    assert not parts[0][0][:, 200:].any()


def test_speakers_are_held_out_beside_a_test_split_of_ones_own(words):
    (words / "train").mkdir()
    for word in ("no", "yes"):
        (words / word).rename(words / "train" / word)
        write(words / "test" / word / "new.wav")
    splits = kd_keras.data.load(words, batch_size=4)
    sizes = splits.info.train_examples, splits.info.validation_examples, splits.info.test_examples
    assert sizes == (20, 4, 2)


def test_without_names_of_speakers_the_rule_says_so(words):
    for place, path in enumerate(sorted(words.glob("*/*.wav"))):
        path.rename(path.with_name(f"{place}.wav"))
    info = kd_keras.data.load(words, batch_size=4).info
    assert info.split_rule.endswith(", whoever speaks")
    assert (info.train_examples, info.validation_examples, info.test_examples) == (20, 2, 2)


def test_the_data_are_known_by_what_is_in_them(words):
    before = kd_keras.data.load(words, batch_size=4).info.identity()
    assert kd_keras.data.load(words, batch_size=4).info.identity() == before
    write(next(words.glob("no/*.wav")))
    assert kd_keras.data.load(words, batch_size=4).info.identity() != before


def test_a_run_on_a_folder_begins_with_the_recipe_of_recordings(words):
    assert recipe_for(str(words)).policy == recipe_for("spoken_digit").policy == "speech"


def test_longer_recordings_are_cut_and_it_is_said(words):
    write(words / "no" / "00000001_nohash_9.wav", samples=np.ones(RATE + 1))
    with pytest.warns(UserWarning, match="1 of 25 recordings are longer than a second"):
        kd_keras.data.load(words, batch_size=4)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("no/a.wav", {"rate": 8000}, r"one sample rate.*Hz.*Hz.*ffmpeg .* -ar (4000|8000) "),
        ("no/a.wav", {"channels": 2}, "one channel.*2 channels"),
        ("no/a.wav", {"samples": []}, "holds none"),
        ("test/maybe/a.wav", {}, r"two classes or more.*train"),
        ("no\n/a.wav", {}, "Rename or merge"),
    ],
)
def test_other_recordings_are_refused(words, name, make, message):
    write(words / name, **make)
    with pytest.raises(ValueError, match=message):
        kd_keras.data.load(words)


def test_too_few_speakers_are_refused(words):
    for path in words.glob("*/*.wav"):
        if not path.name.startswith(("00000000", "00000001")):
            path.unlink()
    with pytest.raises(ValueError, match=r"more than 2 speakers.*Received: 2.*test/<class>/"):
        kd_keras.data.load(words)
