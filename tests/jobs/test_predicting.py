"""Pictures of any kind reach the file as raw pixels of its own size, and come back with names."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from kd_keras import export
from kd_keras.cli import main
from kd_keras.export import metadata
from kd_keras.jobs import classify, read_picture

RELEASED = Path(__file__).parents[2] / "saved_models" / "released" / "digits_student_int8.tflite"
LABELS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "[nine]")


@pytest.fixture(autouse=True)
def _fresh_seeds():
    """Instead of the one for all tests, which clears Keras's session: no test here trains."""


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "digits.tflite"
    path.write_bytes(metadata.pack(RELEASED.read_bytes(), labels=LABELS))
    return path


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    images = np.round(load_digits().images[[2, 9]] * 255 / 16).astype("uint8")
    paths = [folder / "two.png", folder / "nine.bmp"]
    for path, image in zip(paths, images, strict=True):
        PIL.Image.fromarray(image).save(path)
    return paths, images


def test_the_command_prints_the_likeliest_labels_of_every_picture(packed, digits, capsys):
    paths, images = digits
    assert main(["predict", str(packed), *map(str, paths), "--top", "2"]) == 0
    printed = capsys.readouterr().out
    logits = export.LiteModel(packed).predict(images[..., None])
    for row in tf.nn.softmax(logits.astype("float64")).numpy():
        for k in np.argsort(-row)[:2]:
            line = next(line for line in printed.splitlines() if LABELS[k] in line)
            assert f"{100 * row[k]:.2f} %" in line
    assert printed.count("%") == 4
    assert "no labels" not in printed


def test_json_has_every_digit_and_a_file_without_labels_numbers_its_classes(digits, capsys):
    paths, images = digits
    assert main(["predict", str(RELEASED), str(paths[0]), "--json", "--top", "99"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["outputs"], said["labelled"]) == ("logits", False)
    (picture,) = said["pictures"]
    expected = export.Classifier(RELEASED).probabilities(images[:1, ..., None])[0]
    found = {c["index"]: c["probability"] for c in picture["classes"]}
    assert [found[k] for k in range(10)] == expected.tolist()
    assert picture["classes"][0]["label"] == "class 2"
    assert main(["predict", str(RELEASED), str(paths[0])]) == 0
    assert "holds no labels" in capsys.readouterr().out


def test_labels_of_a_file_are_used(digits, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join("abcdefghij"))
    found = classify(RELEASED, digits[0][:1], top=1, labels=tmp_path / "names.txt")
    assert found.pictures[0][1][0].label == "c"
    assert found.labelled


def test_a_file_that_does_not_say_how_pixels_go_in_is_told_so_and_can_be_told(digits, capsys):
    paths, images = digits
    assert main(["predict", str(RELEASED), str(paths[0])]) == 0
    assert "raw, 0 to 255, was assumed" in " ".join(capsys.readouterr().out.split())

    assert main(["predict", str(RELEASED), str(paths[0]), "--mean", "255", "--std", "-1"]) == 0
    printed = capsys.readouterr().out
    assert "was assumed" not in printed
    # 255 - pixel: the picture's negative.
    negative = export.Classifier(RELEASED).probabilities(255 - images[:1, ..., None])[0]
    assert f"{100 * negative.max():.2f} %" in printed
    with pytest.raises(ValueError, match="`std` divides the pixels and must not be 0"):
        classify(RELEASED, paths[:1], std=0)
    with pytest.raises(ValueError, match="one for each of the 1 channels"):
        classify(RELEASED, paths[:1], mean=(1, 2, 3))


def test_resizing_is_the_one_of_training(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (37, 51, 3), dtype="uint8")
    PIL.Image.fromarray(pixels).save(tmp_path / "large.png")
    expected = tf.round(tf.image.resize(pixels, (8, 10), antialias=True)).numpy()
    found = read_picture(tmp_path / "large.png", (8, 10, 3))
    assert found.dtype == np.uint8
    assert np.abs(found - expected).max() <= 1


def test_colours_depths_transparency_and_orientation_are_understood(tmp_path):
    path = tmp_path / "picture.png"
    PIL.Image.fromarray(np.array([[0, 257 * 100, 65535]], "uint16")).save(path)
    assert read_picture(path, (1, 3, 1)).ravel().tolist() == [0, 100, 255]
    PIL.Image.new("RGB", (2, 2), (200, 100, 50)).save(path)
    assert read_picture(path, (2, 2, 1)).ravel().tolist() == [124] * 4
    PIL.Image.new("L", (2, 2), 7).save(path)
    assert read_picture(path, (2, 2, 3)).ravel().tolist() == [7] * 12
    PIL.Image.new("RGBA", (1, 1), (200, 100, 50, 0)).save(path)
    assert read_picture(path, (1, 1, 3)).ravel().tolist() == [0, 0, 0]
    palette = PIL.Image.new("RGB", (2, 1), "red").quantize(2)
    palette.save(path)
    assert read_picture(path, (1, 2, 3)).ravel().tolist() == [255, 0, 0] * 2
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    PIL.Image.fromarray(np.array([[10, 20], [30, 40]], "uint8")).save(path, exif=exif)
    assert read_picture(path, (2, 2, 1)).ravel().tolist() == [30, 10, 40, 20]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.png", None, "cannot be read: No such file"),
        ("notes.png", b"no picture at all", "must be a picture, such as PNG or JPEG"),
        ("empty.png", b"", "must be a picture"),
        ("cut.png", 90, "cannot be read"),
        (".", None, "It is a folder: pass the files in it"),
    ],
)
def test_a_file_that_is_no_whole_picture_ends_with_1_and_its_name(
    packed, tmp_path, capsys, name, content, said
):
    path = tmp_path / name
    if isinstance(content, int):
        noise = np.random.default_rng(0).integers(0, 256, (20, 20), dtype="uint8")
        PIL.Image.fromarray(noise).save(path)
        content = path.read_bytes()[:content]
    if content is not None:
        path.write_bytes(content)
    assert main(["predict", str(packed), str(path)]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert repr(str(path)) in error


def test_a_model_that_was_cut_off_ends_with_1(digits, tmp_path, capsys):
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(RELEASED.read_bytes()[:4000])
    assert main(["predict", str(cut), str(digits[0][0])]) == 1
    assert "cut off or damaged" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [(), ("a.png", "--top", "0")])
def test_a_wrong_call_ends_with_2(packed, arguments, capsys):
    with pytest.raises(SystemExit) as left:
        main(["predict", str(packed), *arguments])
    assert left.value.code == 2
    assert ("name a picture" if not arguments else "--top must be") in capsys.readouterr().err


def test_arguments_out_of_range_are_refused(packed, digits):
    with pytest.raises(ValueError, match="`top` must be an integer >= 1. Received: top=0"):
        classify(packed, digits[0], top=0)
    with pytest.raises(ValueError, match="`pictures` must name at least one"):
        classify(packed, [])


def test_the_output_with_the_classes_is_named_on_the_command_line(digits, tmp_path, capsys):
    inputs = keras.Input((8, 8, 1))
    few, many = (keras.layers.Dense(n)(keras.layers.Flatten()(inputs)) for n in (2, 7))
    maps = [keras.layers.Conv2D(n, 1)(inputs) for n in (2, 3)]
    heads = {"few": few, "many": many, "map": maps[0], "other": maps[1]}
    file = str(export.to_tflite(keras.Model(inputs, heads), tmp_path / "heads.tflite").path)
    picture, mask = str(digits[0][0]), str(tmp_path / "mask.png")
    for call in ([picture], [picture, "--output", mask]):
        assert main(["predict", file, *call]) == 1
        assert "--classes-output" in capsys.readouterr().err

    assert main(["predict", file, picture, "--json", "--top", "9", "--classes-output", "many"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["pictures"]
    assert len(found["classes"]) == 7
    call = [picture, "--output", mask, "--classes-output", "other", "--json"]
    assert main(["predict", file, *call]) == 0
    assert len(json.loads(capsys.readouterr().out)["shares"]) == 3
