"""A file that gives a class for every pixel, over images of any size, and its masks."""

import json

import keras
import numpy as np
import PIL.Image
import pytest

import kd_keras
from kd_keras.export.segmenter import Segmenter


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A file that gives class 1 to pixels above 100 and class 2 to those above 200."""
    inputs = keras.Input((8, 8, 1))
    weights = np.array([[0.0, 1.0, 2.0]]).reshape(1, 1, 1, 3), np.array([0.0, -100.0, -300.0])
    logits = keras.layers.Conv2D(3, 1, name="logits")
    student = keras.Model(inputs, logits(inputs))
    logits.set_weights(weights)
    path = tmp_path_factory.mktemp("segmenter") / "student.tflite"
    kd_keras.export.to_tflite(student, path, labels=["ground", "cell", "core"])
    return path


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (20, 13, 1)).astype("uint8")


def expected(image):
    return np.digitize(image[..., 0], [101, 201]).astype("uint8")


def test_the_labels_are_in_the_file_and_every_pixel_gets_its_class(file, image):
    segmenter = Segmenter(file)
    assert segmenter.labels == ("ground", "cell", "core")
    assert segmenter.image_shape == (8, 8, 1)
    for part in (image, image[:8, :8], image[:5, :3], image[:30, :4]):
        found = segmenter.class_map(part)
        wrong = (found != expected(part)) & ~np.isin(part[..., 0], (100, 200))
        assert (found.shape, found.dtype, wrong.sum()) == (part.shape[:2], "uint8", 0)


def test_probabilities_of_tiles_are_averaged_by_their_distance_to_the_border(file, image):
    class Sided(Segmenter):
        """Sure of class 1 at the left border of a tile, of class 0 elsewhere."""

        def probabilities(self, images, batch_size=32):
            found = np.zeros((1, 8, 8, 3))
            found[..., 0] = 1
            found[:, :, 0] = (0, 1, 0)
            return found

    found = Sided(file).class_map(image[:8, :12])
    # The tile that begins at column 4 is at its border there, that of column 0 near its middle.
    np.testing.assert_array_equal(found[0], [1] + [0] * 11)


def test_images_and_files_that_do_not_fit_are_refused(file, image, tmp_path):
    with pytest.raises(ValueError, match=r"\(height, width, 1\).*\(20, 13, 3\)"):
        Segmenter(file).class_map(np.repeat(image, 3, axis=-1))
    with pytest.raises(ValueError, match=r"\(batch, classes\).*Segmenter.*--output mask\.png"):
        kd_keras.export.Classifier(file)


def test_predict_writes_a_mask_that_load_reads(file, image, tmp_path, command):
    folder = tmp_path / "cells"
    (folder / "image").mkdir(parents=True)
    (folder / "label").mkdir()
    for name in "abc":
        PIL.Image.fromarray(image[..., 0]).save(folder / "image" / f"{name}.png")
        target = folder / "label" / f"{name}.png"
        done = command("predict", file, folder / "image" / f"{name}.png", "--output", target)
        assert done.code == 0
    assert "20x13 pixels" in done.out and "core" in done.out
    splits = kd_keras.data.load(folder, batch_size=1)
    _, maps = next(iter(splits.test))
    np.testing.assert_array_equal(maps[0], Segmenter(file).class_map(image))

    picture = folder / "image" / "a.png"
    done = command("predict", file, picture, "--output", tmp_path / "m.png", "--json")
    shares = dict(json.loads(done.out)["shares"])
    assert shares["cell"] == pytest.approx(np.mean(expected(image) == 1), abs=0.02)
    for arguments, words in (
        ((picture, "--output", tmp_path / "m.jpg"), ["must be the name of a PNG", "m.png"]),
        ((picture, picture, "--output", "m.png"), ["mask of one picture", "2 pictures"]),
        ((picture,), ["Segmenter", "--output mask.png"]),
    ):
        done = command("predict", file, *arguments)
        assert done.code != 0
        assert all(word in " ".join(done.err.split()) for word in words), done.err
