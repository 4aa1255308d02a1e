"""A folder of images and masks: tiles, class ids, the parts by image, and what does not fit."""

import numpy as np
import PIL.Image
import pytest

import kd_keras
from kd_keras.data.masks import starts


def picture(path, pixels, palette=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = PIL.Image.fromarray(np.asarray(pixels, "uint8"))
    if palette:
        image.putpalette([value % 256 for value in range(90, 90 + 768)])
    image.save(path)


@pytest.fixture
def folder(tmp_path):
    """Ten grey images of 8 x 12 whose pixels say image and place, and masks 0 and 255."""
    for index in range(10):
        pixels = np.arange(96).reshape(8, 12) + index
        picture(tmp_path / "image" / f"{index}.png", pixels)
        picture(tmp_path / "label" / f"{index}.png", np.where(pixels % 3 == 0, 255, 0))
    return tmp_path


def whole(dataset):
    return [np.concatenate(parts) for parts in zip(*dataset.as_numpy_iterator(), strict=True)]


def test_images_are_cut_into_parts_before_they_are_cut_into_tiles(folder):
    splits = kd_keras.data.load(folder, image_size=(4, 6), batch_size=3)
    info = splits.info
    assert (info.task, info.input_shape, info.label_shape) == ("segmentation", (4, 6, 1), (4, 6))
    assert (info.train_examples, info.validation_examples, info.test_examples) == (32, 4, 4)
    assert "cut by image: train: train[0:8]" in info.split_rule
    x, y = whole(splits.test)
    image = np.arange(96).reshape(8, 12) + 9
    tiles = [image[row : row + 4, column : column + 6] for row in (0, 4) for column in (0, 6)]
    np.testing.assert_array_equal(x[..., 0], tiles)
    np.testing.assert_array_equal(y, np.equal(np.mod(tiles, 3), 0))
    assert (x.dtype, y.dtype) == ("uint8", "int64")
    x, y = whole(splits.train)
    np.testing.assert_array_equal(y, x[..., 0] % 3 == 0)  # each with its own mask
    assert splits.info.identity()["images"] == splits.info.identity()["images"]


def test_tiles_cover_sides_that_are_no_multiple():
    assert starts(8, 4) == [0, 4]
    assert starts(10, 4) == [0, 4, 6]
    assert starts(4, 4) == [0]


def test_whole_images_and_published_parts(tmp_path):
    for split, value in (("train", 1), ("validation", 2), ("test", 3)):
        for name in "ab":
            picture(tmp_path / split / "image" / f"{name}.jpg", np.full((4, 4, 3), 80))
            mask = np.zeros((4, 4))
            mask[0, 0], mask[1, 1], mask[2, 2] = 1, 255, 2
            mask[3] = value % 3
            picture(tmp_path / split / "label" / f"{name}.png", mask, palette=True)
    (tmp_path / "classes.txt").write_text("ground\ncar\nroad\ntree\n")
    splits = kd_keras.data.load(tmp_path, batch_size=2)
    assert splits.info.class_names == ("ground", "car", "road", "tree")
    assert splits.info.input_shape == (4, 4, 3)
    _, y = whole(splits.validation)
    # Values of the palette are the ids, whatever their colours; 255 is no label.
    np.testing.assert_array_equal(y[0, [0, 1, 2, 3], [0, 1, 2, 3]], [1, 255, 2, 2])


def test_classes_without_names_are_numbered(tmp_path):
    for name in "abc":
        picture(tmp_path / "image" / f"{name}.png", np.zeros((2, 2)))
        picture(tmp_path / "label" / f"{name}.png", [[0, 1], [2, 255]])
    splits = kd_keras.data.load(tmp_path)
    assert splits.info.class_names == ("0", "1", "2")
    np.testing.assert_array_equal(whole(splits.test)[1], [[[0, 1], [2, 255]]])


def odd_size(folder):
    picture(folder / "label" / "3.png", np.zeros((8, 11)))


def colours(folder):
    picture(folder / "label" / "3.png", np.zeros((8, 12, 3)))


def a_gap(folder):
    picture(folder / "label" / "3.png", np.full((8, 12), 7))


def no_mask(folder):
    (folder / "label" / "3.png").unlink()


def no_image(folder):
    (folder / "image" / "3.png").unlink()


def damaged(folder):
    (folder / "label" / "3.png").write_bytes(b"no picture")


def another_size(folder):
    picture(folder / "image" / "3.png", np.zeros((10, 12)))
    picture(folder / "label" / "3.png", np.zeros((10, 12)))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (odd_size, r"height and width of its image.*3\.png.*\(8, 12\).*\(8, 11\).*nearest"),
        (colours, r"grey or have a palette.*3\.png.*'RGB'"),
        (a_gap, r"must be class ids.*\[0, 7, 255\].*classes\.txt"),
        (no_mask, r"must have a mask.*none in 'label': \['3\.png'\]"),
        (no_image, r"none in 'image': \['3\.png'\]"),
        (damaged, r"cannot be read, PNG.*3\.png"),
        (another_size, r"one size.*\[\(8, 12\), \(10, 12\)\].*--image-size 128"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_remedy(folder, harm, message):
    harm(folder)
    with pytest.raises(ValueError, match=message):
        kd_keras.data.load(folder)


def test_tiles_larger_than_an_image_are_refused(folder):
    with pytest.raises(ValueError, match=r"size of the tiles.*image_size=\(16, 16\).*8x12"):
        kd_keras.data.load(folder, image_size=16)


def test_the_membrane_set_is_found_by_its_name(folder, tmp_path):
    for data_dir in (folder, folder.parent):
        if data_dir != folder:
            folder.rename(folder.parent / "membrane")
        info = kd_keras.data.load("membrane", data_dir=data_dir).info
        assert info.class_names == ("membrane", "cell")
    with pytest.raises(ValueError, match=r"folder of the ISBI 2012 images.*data_dir=None.*'blobs'"):
        kd_keras.data.load("membrane")


def test_blobs_are_the_same_every_time_and_have_all_classes():
    first, again = (kd_keras.data.load("blobs", batch_size=32) for _ in range(2))
    assert first.info.class_names == ("ground", "disc", "square")
    for x, y in (whole(first.test),):
        other = whole(again.test)
        np.testing.assert_array_equal(x, other[0])
        np.testing.assert_array_equal(y, other[1])
        assert set(np.unique(y)) == {0, 1, 2}
        assert x[y > 0].mean() > x[y == 0].mean() + 30
    assert not np.array_equal(whole(first.validation)[0], whole(first.test)[0])
