"""Recordings, from data to a file that hears .wav files."""

import json
import wave

import numpy as np
import pytest

from kd_keras import export
from kd_keras.cli import main
from kd_keras.export import metadata
from kd_keras.models import dscnn
from kd_keras.recordings import as_heard, read_recording

LABELS = ("yes", "no", "[noise]")


def write(path, samples, rate=8000, channels=1, width=2):
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(np.asarray(samples).tobytes())
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "student.tflite"
    student = dscnn(2000, 3, width=4, seed=1)
    export.to_tflite(student, path, input_range=(-1, 1), labels=LABELS, sample_rate=8000)
    return path


@pytest.fixture
def recording(tmp_path):
    samples = np.random.default_rng(0).integers(-9000, 9000, 2500).astype("<i2")
    return write(tmp_path / "hello.wav", samples), samples


def test_a_file_says_its_sample_rate_and_labels(file):
    said = metadata.read(file)
    assert (said.sample_rate, said.labels, said.input_mean) == (8000, LABELS, ())


def test_predict_hears_the_beginning_of_a_recording(file, recording, capsys):
    path, samples = recording
    assert main(["predict", str(file), str(path), "--json", "--top", "3"]) == 0
    found = json.loads(capsys.readouterr().out)["recordings"][0]
    logits = export.LiteModel(file).predict(samples[None, :2000] / np.float32(32768))[0]
    powers = np.exp(logits - logits.max())
    told = {each["label"]: each["probability"] for each in found["classes"]}
    for label, probability in zip(LABELS, powers / powers.sum(), strict=True):
        assert told[label] == pytest.approx(probability, abs=1e-6)
    assert main(["predict", str(file), str(path)]) == 0
    printed = capsys.readouterr().out
    assert "recording" in printed
    assert "[noise]" in printed


def test_a_short_recording_has_silence_behind(tmp_path):
    path = write(tmp_path / "short.wav", np.array([16384, -32768], "<i2"))
    heard = as_heard(read_recording(path), 4, 8000, path)
    assert heard.tolist() == [0.5, -1.0, 0.0, 0.0]
    assert heard.dtype == np.float32


@pytest.mark.parametrize(
    ("make", "message"),
    [
        ({"rate": 16_000}, r"8000 Hz.*16000 Hz.*-ar 8000"),
        ({"channels": 2}, "2 channels and 16 bits.*-ac 1"),
        ({"width": 1}, "1 channels and 8 bits"),
    ],
)
def test_recordings_of_another_form_are_refused_with_what_converts_them(
    file, tmp_path, capsys, make, message
):
    path = write(tmp_path / "other.wav", np.ones(2000, "<i2"), **make)
    assert main(["predict", str(file), str(path)]) != 0
    error = " ".join(capsys.readouterr().err.split())
    with pytest.raises(ValueError, match=message):
        raise ValueError(error)


def test_what_is_no_recording_is_refused(file, tmp_path, capsys):
    (tmp_path / "text.wav").write_text("hello, I am a text")
    (tmp_path / "cut.wav").write_bytes(b"RIFF")
    write(tmp_path / "none.wav", np.zeros(0, "<i2"))
    for name, message in (
        ("text.wav", "cannot be read: file does not start with RIFF id"),
        ("cut.wav", "cannot be read: it ends too soon"),
        ("none.wav", "holds none"),
        ("absent.wav", "No such file"),
    ):
        assert main(["predict", str(file), str(tmp_path / name)]) != 0
        assert message in " ".join(capsys.readouterr().err.split())


def test_labels_are_in_the_file(file, recording, capsys):
    assert main(["predict", str(file), str(recording[0]), "--mean", "0"]) != 0
    assert "takes recordings and holds its labels" in " ".join(capsys.readouterr().err.split())


def test_a_file_without_a_sample_rate_is_no_classifier_of_recordings(file, tmp_path):
    path = tmp_path / "s.tflite"
    path.write_bytes(metadata.pack(file.read_bytes(), labels=LABELS))
    with pytest.raises(ValueError, match=r"sample rate None.*sample_rate=\.\.\."):
        export.SoundClassifier(path)


@pytest.mark.slow
def test_distill_goes_from_tones_to_verified_files(tmp_path, capsys):
    run = tmp_path / "run"
    networks = ["--teacher", "audio_resnet8x4", "--student", "dscnnx4"]
    assert main(["distill", "spoken_digit", "--smoke", *networks, "--output", str(run)]) == 0
    report = json.loads((run / "report.json").read_text())
    assert "noise, SNR 10 dB" in json.dumps(report)
    for name in ("student_float32.tflite", "student_int8.tflite"):
        said = metadata.read(run / name)
        assert (said.sample_rate, said.labels[0]) == (8000, "rising")
    capsys.readouterr()
