"""A file verified by the names of file, data and models, and by the command's own words."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kd_keras import data, export
from kd_keras.cli import main
from kd_keras.jobs import verify_file

INT8 = Path(__file__).parents[2] / "saved_models" / "released" / "digits_student_int8.tflite"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Plain pictures of 12 x 12 in three classes: red, green and blue."""
    folder = tmp_path_factory.mktemp("pictures")
    for split, count in (("train", 4), ("test", 2)):
        for channel, name in enumerate(("blue", "green", "red")):
            (folder / split / name).mkdir(parents=True)
            for index in range(count):
                image = np.zeros((12, 12, 3), "uint8")
                image[..., 2 - channel] = 200 + index
                Image.fromarray(image).save(folder / split / name / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """A file for images of 6 x 6 whose logits are the mean of blue, green and red."""
    inputs = keras.Input((6, 6, 3))
    mean = keras.layers.GlobalAveragePooling2D()(inputs)
    layer = keras.layers.Dense(3, use_bias=False)
    model = keras.Model(inputs, layer(mean))
    layer.kernel.assign(np.eye(3)[::-1])
    path = tmp_path_factory.mktemp("colours") / "colours.tflite"
    export.to_tflite(model, path)
    return path


@pytest.mark.slow
def test_a_folder_of_pictures_is_resized_on_request_alone(pictures, colours):
    verified = verify_file(colours, str(pictures), resize=True)

    assert (verified.verification.accuracy, verified.verification.examples) == (1.0, 6)
    assert verified.missed == ()
    with pytest.raises(ValueError, match=r"shape \(6, 6, 3\).*shape \(12, 12, 3\).*--resize"):
        verify_file(colours, str(pictures))


def test_data_of_other_classes_and_damaged_files_are_refused(pictures, colours, tmp_path):
    inputs = keras.Input((12, 12, 3))
    model = keras.Model(inputs, keras.layers.Dense(5)(keras.layers.Flatten()(inputs)))
    export.to_tflite(model, tmp_path / "five.tflite")
    with pytest.raises(ValueError, match="has 3 classes. Received: .*which gives 5 scores"):
        verify_file(tmp_path / "five.tflite", str(pictures))

    (tmp_path / "cut.tflite").write_bytes(colours.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"(cut off|lacks the mark).*cut\.tflite"):
        verify_file(tmp_path / "cut.tflite", str(pictures))
    (tmp_path / "student.keras").write_bytes(b"PK")
    with pytest.raises(ValueError, match="`student` is damaged: it is no whole archive"):
        verify_file(colours, str(pictures), resize=True, student=tmp_path / "student.keras")
    with pytest.raises(ValueError, match="Pass `student`"):
        verify_file(colours, str(pictures), layers=True)
    with pytest.raises(ValueError, match="outputs: output_0"):
        verify_file(colours, str(pictures), resize=True, output="boxes")


@pytest.fixture
def file_of(tmp_path):
    """Makes a file of three classes for images of 6 x 6."""

    def made(channels):
        inputs = keras.Input((6, 6, channels))
        model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs)))
        return export.to_tflite(model, tmp_path / "file.tflite").path, model

    return made


def test_resizing_turns_colours_into_grey(pictures, file_of, tmp_path):
    file, model = file_of(1)
    with pytest.raises(
        ValueError, match=r"grey images and these are RGB, which `.*--resize` and tf.image.rgb_to_g"
    ):
        verify_file(file, str(pictures))

    model.save(tmp_path / "student.keras")
    student = tmp_path / "student.keras"
    verified = verify_file(file, str(pictures), resize=True, student=student, layers=True)

    assert verified.verification.student.agreement == 1.0
    test = data.load(str(pictures), image_size=6, batch_size=2).test
    grey = test.map(lambda x, y: (tf.image.rgb_to_grayscale(x), y))
    assert export.verify(file, grey).accuracy == verified.verification.accuracy


def test_resizing_turns_grey_into_colours(colours):
    # Three classes for ten digits: the images are not what is refused.
    with pytest.raises(ValueError, match=r"'digits' has 10 classes"):
        verify_file(colours, "digits", resize=True)


def test_resizing_is_no_remedy_for_other_channels(pictures, file_of):
    said = "takes 4 channels images and these are RGB, which resizing does not change. Verify the"
    with pytest.raises(ValueError, match=said):
        verify_file(file_of(4)[0], str(pictures), resize=True)


def test_a_full_disk_leaves_no_half_report(pictures, colours, tmp_path, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    report = tmp_path / "report.json"
    arguments = [colours, "--data", pictures, "--resize", "--json", report]

    assert main(["verify", *map(str, arguments)]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "--data"),
        (["--data", "digits", "--min-accuracy", "95"], 2, "--min-accuracy must be a share"),
        (["--data", "digits", "--min-agreement", "0.9"], 2, "add --student FILE.keras"),
        (["--data", "digits", "--layers"], 2, "add --student FILE.keras"),
        (["--data", "digits", "--student", "absent.keras"], 1, "student='absent.keras'"),
        (["--data", "digits", "--json", "absent/report.json"], 1, "does not exist: 'absent'"),
    ],
)
def test_a_wrong_call_says_what_to_do(arguments, code, said, capsys):
    try:
        received = main(["verify", str(INT8), *arguments])
    except SystemExit as leaving:
        received = leaving.code

    assert received == code
    assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())
