import os
import re

import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

import kd_keras
from kd_keras.image_files import fingerprint

EVEN = {
    "train/cat": [(6, 5)] * 12,
    "train/dog": [(6, 5)] * 8,
    "validation/cat": [(6, 5)] * 2,
    "validation/dog": [(6, 5)] * 3,
    "test/cat": [(6, 5)] * 3,
    "test/dog": [(6, 5)] * 4,
}


def without(*names):
    return {name: sizes for name, sizes in EVEN.items() if not name.startswith(names)}


def test_a_folder_is_loaded_by_its_path_or_as_data_dir(image_folder):
    folder = image_folder(EVEN)
    by_path = kd_keras.data.load(str(folder), batch_size=7)
    info = by_path.info
    assert info.class_names == ("cat", "dog")
    assert info.image_shape == (6, 5, 3)
    assert (info.train_examples, info.validation_examples, info.test_examples) == (20, 5, 7)
    assert [x.shape for x, _ in by_path.train] == [(7, 6, 5, 3), (7, 6, 5, 3), (6, 6, 5, 3)]
    labels = np.concatenate([y for _, y in by_path.train])
    assert np.bincount(labels).tolist() == [12, 8]
    assert kd_keras.data.load(folder).info == info
    assert kd_keras.data.load("folder", data_dir=folder).info == info


def test_pixels_come_as_they_are_in_the_files(image_folder):
    splits = kd_keras.data.load(image_folder(EVEN))
    raw = tfds.folder_dataset.ImageFolder(splits.info.name).as_dataset(split="test")
    [(x, y)] = list(splits.test)
    np.testing.assert_array_equal(x, [example["image"] for example in raw])
    np.testing.assert_array_equal(y, [example["label"] for example in raw])


def test_a_relative_path_and_jpeg_files_are_read(image_folder, monkeypatch):
    folder = image_folder(EVEN, suffix=".JPG")
    monkeypatch.chdir(folder.parent)
    assert kd_keras.data.load("images").info.train_examples == 20
    assert kd_keras.data.load("./images").info.train_examples == 20


def test_without_a_validation_folder_the_end_of_train_is_cut_off(image_folder):
    splits = kd_keras.data.load(image_folder(without("validation")), validation_fraction=0.25)
    assert splits.info.split_rule == (
        "train: train[0:15], validation: train[15:20], test: test[0:7], of each class alike"
    )
    parts = [
        {image.tobytes() for x, _ in part.as_numpy_iterator() for image in x}
        for part in (splits.train, splits.validation)
    ]
    assert (len(parts[0]), len(parts[1])) == (15, 5)
    assert not parts[0] & parts[1]


@pytest.mark.parametrize("name", ["val", "valid", "dev"])
def test_other_names_of_the_validation_split_are_taken(image_folder, name):
    layout = {place.replace("validation", name): sizes for place, sizes in EVEN.items()}
    rule = kd_keras.data.load(image_folder(layout)).info.split_rule
    assert rule == f"train: train[0:20], validation: {name}[0:5], test: test[0:7]"


def of_each_class(splits):
    return [
        np.bincount([int(y) for _, ys in part for y in ys], minlength=splits.info.num_classes)
        for part in (splits.train, splits.validation, splits.test)
    ]


def test_a_folder_of_classes_alone_gives_a_share_of_each_for_validation_and_test(image_folder):
    layout = {"cat": [(6, 5)] * 3, "dog": [(6, 5)] * 40, "owl": [(6, 5)] * 15}
    splits = kd_keras.data.load(image_folder(layout))
    assert splits.info.class_names == ("cat", "dog", "owl")
    assert [counts.tolist() for counts in of_each_class(splits)] == [
        [1, 32, 11],
        [1, 4, 2],
        [1, 4, 2],
    ]
    assert splits.info.split_rule == (
        "train: train[0:44], validation: train[44:51], test: train[51:58], of each class alike"
    )
    images = [
        image.tobytes()
        for part in (splits.train, splits.validation, splits.test)
        for x, _ in part.as_numpy_iterator()
        for image in x
    ]
    assert len(set(images)) == 58
    again = kd_keras.data.load(splits.info.folder)
    for mine, theirs in ((splits.test, again.test), (splits.validation, again.validation)):
        np.testing.assert_array_equal(*(np.concatenate([x for x, _ in p]) for p in (mine, theirs)))
    theirs = keras.utils.image_dataset_from_directory(splits.info.folder, image_size=(6, 5))
    assert tuple(theirs.class_names) == splits.info.class_names


def test_a_missing_validation_split_is_cut_off_from_each_class(image_folder):
    layout = {"train/cat": [(6, 5)] * 2, "train/dog": [(6, 5)] * 20, "test/cat": [(6, 5)]}
    train, validation, test = of_each_class(kd_keras.data.load(image_folder(layout)))
    assert (train.tolist(), validation.tolist(), test.tolist()) == ([1, 18], [1, 2], [1, 0])


@pytest.mark.parametrize(
    ("layout", "fraction", "said"),
    [
        ({"cat": 2, "dog": 9}, 0.1, "at least 3 images.*Received: 2 of 'cat', with.*own: train/"),
        ({"train/cat": 1, "train/dog": 9, "test/cat": 9}, 0.1, "at least 2.*validation is.*1 of"),
        ({"cat": 8, "dog": 8}, 0.5, "8 of 'cat', 8 of 'dog', with validation_fraction=0.5"),
    ],
)
def test_too_few_images_of_a_class_are_refused_with_the_numbers(
    image_folder, layout, fraction, said
):
    folder = image_folder({place: [(6, 5)] * count for place, count in layout.items()})
    with pytest.raises(ValueError, match=said):
        kd_keras.data.load(folder, validation_fraction=fraction)


def test_a_class_may_be_called_train(image_folder):
    layout = {name: [(6, 5)] * 3 for name in ("car", "Test", "train")}
    assert kd_keras.data.load(image_folder(layout)).info.class_names == ("Test", "car", "train")


@pytest.mark.parametrize(
    ("places", "said"),
    [
        (
            ["Train/cat/a.png", "TEST/cat/a.png"],
            r"\['TEST', 'Train'\]. Rename 'TEST' to 'test'",
        ),
        (["cat/sub/a.png", "dog/b.webp"], r"2 images that.*\['cat/sub/a.png', 'dog/b.webp'\]. C"),
        (["train/cat/a.bmp"], r"1 images that are of other kinds.*\['train/cat/a.bmp'\]"),
        (["train/a.png", "test/a.png"], r"1 images that.*\['train/a.png'\]. Convert or move"),
        (["a.png", "b.png"], r"2 images that.*\['a.png', 'b.png'\]. Convert or move"),
    ],
)
def test_images_that_are_not_read_are_named(tmp_path, places, said):
    for place in places:
        png_at(tmp_path / place)
    with pytest.raises(ValueError, match=said):
        kd_keras.data.load(tmp_path)


def test_without_a_test_split_validation_or_the_end_of_train_is_the_test(image_folder):
    rule = kd_keras.data.load(image_folder(without("test"))).info.split_rule
    assert rule == (
        "train: train[0:18], validation: train[18:20], test: validation[0:5], of each class alike"
    )


def test_images_of_several_sizes_need_image_size(image_folder):
    folder = image_folder({**EVEN, "test/dog": [(6, 5), (9, 9)]})
    with pytest.raises(ValueError, match=r"one size.*\(6, 5\), \(9, 9\).*image_size.*--image-size"):
        kd_keras.data.load(folder)
    splits = kd_keras.data.load(folder, image_size=(4, 3))
    assert splits.info.image_shape == (4, 3, 3)
    x, _ = next(iter(splits.test))
    assert (x.shape[1:], x.dtype) == ((4, 3, 3), tf.uint8)


def test_resizing_averages_and_rounds(image_folder):
    folder = image_folder({**EVEN, "test/cat": [(2, 2)], "test/dog": [(2, 2)]})
    raw = tfds.folder_dataset.ImageFolder(str(folder)).as_dataset(split="test")
    expected = [example["image"].numpy().mean(axis=(0, 1)) for example in raw]
    [(x, _)] = list(kd_keras.data.load(folder, image_size=1).test)
    np.testing.assert_allclose(x[:, 0, 0], expected, atol=0.5001)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (without("train"), r"no images of split 'train'.*Expected: <folder>/<class>"),
        ({**EVEN, "test/cat": [], "test/dog": []}, "no images of split 'test'"),
        ({**EVEN, "train/owl": []}, r"Every class must have images.*\['owl'\]"),
        ({**EVEN, "test/owl": [(6, 5)]}, r"Every class must have images.*\['owl'\]"),
        ({"train": [(6, 5)], "test": [(6, 5)]}, "no images of split 'train'"),
        (
            {**EVEN, "test-hard/cat": [(6, 5)]},
            r"sub-folders 'train', 'test'.*\['test-hard'\].*Rename",
        ),
        ({**EVEN, "val/cat": [(6, 5)]}, r"one validation split.*\['val', 'validation'\]"),
    ],
)
def test_another_layout_is_refused(image_folder, layout, message):
    with pytest.raises(ValueError, match=message):
        kd_keras.data.load(image_folder(layout))


def test_an_empty_or_missing_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no images of split 'train'"):
        kd_keras.data.load(tmp_path)
    with pytest.raises(ValueError, match="A folder of images was asked for, and there is none"):
        kd_keras.data.load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="`data_dir` must be the folder of files"):
        kd_keras.data.load("folder")


def test_a_file_that_is_no_image_is_refused_by_name(image_folder):
    folder = image_folder(EVEN)
    (folder / "train" / "cat" / "broken.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"cannot be read as an image.*broken\.png"):
        kd_keras.data.load(folder, image_size=8)


@pytest.mark.parametrize(
    ("suffix", "kind"), [(".jpg", "WEBP"), (".png", "GIF"), (".png", "TIFF"), (".jpg", "BMP")]
)
def test_an_image_of_another_format_under_a_wrong_name_is_refused(image_folder, suffix, kind):
    folder = image_folder(EVEN)
    wrong = folder / "test" / "cat" / f"wrong{suffix}"
    PIL.Image.new("RGB", (5, 6)).save(wrong, kind)
    with pytest.raises(ValueError, match=rf"JPEG or PNG.*wrong\{suffix}.*is {kind}\. Convert"):
        kd_keras.data.load(folder)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_an_image_that_was_cut_short_is_refused_by_name(image_folder, suffix):
    folder = image_folder(EVEN)
    path = folder / "test" / "cat" / f"short{suffix}"
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(path)
    path.write_bytes(path.read_bytes()[: -path.stat().st_size // 5])
    with pytest.raises(ValueError, match=rf"cannot be read as an image.*short\{suffix}"):
        kd_keras.data.load(folder)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "I;16"])
def test_every_kind_of_jpeg_and_png_that_is_accepted_can_be_read(image_folder, mode):
    folder = image_folder(EVEN)
    suffix = ".jpg" if mode == "CMYK" else ".png"
    PIL.Image.new(mode, (5, 6)).save(folder / "test" / "cat" / f"extra{suffix}")
    assert sum(len(y) for _, y in kd_keras.data.load(folder).test) == 8


def test_a_jpeg_of_two_pictures_is_read_as_its_first(image_folder):
    folder = image_folder(EVEN)
    path = folder / "test" / "cat" / "telephone.jpg"
    pictures = [PIL.Image.new("RGB", (5, 6), colour) for colour in ("white", "black")]
    pictures[0].save(path, "MPO", save_all=True, append_images=pictures[1:])
    with PIL.Image.open(path) as image:
        assert image.format == "MPO"
    [(x, _)] = list(kd_keras.data.load(folder).test)
    assert (x.numpy() == 255).all(axis=(1, 2, 3)).sum() == 1


def test_images_of_other_formats_are_left_out_with_a_warning(image_folder):
    folder = image_folder(EVEN)
    (folder / "train" / "cat" / "extra.bmp").write_bytes(b"")
    (folder / "train" / "cat" / ".DS_Store").write_bytes(b"")
    with pytest.warns(UserWarning, match="1 images in .*train' are left out"):
        assert kd_keras.data.load(folder).info.train_examples == 20


def test_a_folder_called_like_a_dataset_does_not_hide_it(image_folder, monkeypatch):
    folder = image_folder(EVEN)
    folder.rename(folder.with_name("mnist"))
    monkeypatch.chdir(folder.parent)
    with pytest.raises(ValueError, match="'mnist' is not prepared"):
        kd_keras.data.load("mnist", data_dir=folder.parent / "data", download=False)
    assert kd_keras.data.load("./mnist").info.num_classes == 2


def png_at(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", (5, 6)).save(path, "PNG")


@pytest.mark.parametrize(
    ("places", "said"),
    [
        (
            ["train/cat/sub/a.png", "train/cat/sub/deep/b.JPG"],
            r"2 .*train', \['cat/sub/a\.png', 'ca",
        ),
        (["test/dog/sub/a.bmp"], r"1 images elsewhere in '.*test', \['dog/sub/a\.bmp'\], which"),
        (
            ["train/a.png", "train/b.webp"],
            r"2 images elsewhere in '.*train', \['a\.png', 'b\.webp'\]",
        ),
        ([f"validation/{i}.png" for i in range(7)], r"7 images .*'4\.png'\] and more, which would"),
    ],
)
def test_images_that_are_in_no_class_are_refused_and_named(image_folder, places, said):
    folder = image_folder(EVEN)
    for place in places:
        png_at(folder / place)
    with pytest.raises(ValueError, match=rf"must lie in <split>/<class>/ itself.*{said}"):
        kd_keras.data.load(folder)


def test_hidden_files_and_folders_and_those_of_other_kinds_are_nobodys_images(
    image_folder, recwarn
):
    folder = image_folder(EVEN)
    before = fingerprint(folder)
    for place in (".git/a.png", "train/.cache/a.png", "train/cat/.thumbs/a.png", "train/.a.png"):
        png_at(folder / place)
    for place in ("train/cat/._0.png", "train/cat/.DS_Store", "train/Thumbs.db", "test/cat/x.txt"):
        (folder / place).write_bytes(b"")
    (folder / "train" / "cat" / "notes").mkdir()
    info = kd_keras.data.load(folder).info
    assert (info.train_examples, info.test_examples, info.num_classes) == (20, 7, 2)
    assert not [warning for warning in recwarn if "left out" in str(warning.message)]
    assert fingerprint(folder) == before


def test_images_that_are_left_out_are_counted_and_named(image_folder):
    folder = image_folder(EVEN)
    for place in ("preview.png", "test/cat/a.webp", "test/cat/b.GIF", "test/dog/c.jfif"):
        png_at(folder / place)
    with pytest.warns(UserWarning) as caught:
        assert kd_keras.data.load(folder).info.test_examples == 7
    said = "\n".join(str(warning.message) for warning in caught)
    assert re.search(r"1 images in '.*images' are left out, \['preview\.png'\]: only", said)
    assert "3 images in" in said
    assert "['cat/a.webp', 'cat/b.GIF', 'dog/c.jfif']: only ['.jpeg', '.jpg', '.png']" in said
    assert {warning.filename for warning in caught if "left" in str(warning.message)} == {__file__}


@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_what_only_looks_like_an_image_is_refused_at_once(image_folder, kind):
    path = image_folder(EVEN) / "train" / "cat" / "x.png"
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    said = "FIFO or a device" if kind == "fifo" else "Is a directory"
    with pytest.raises(ValueError, match=rf"cannot be read.*x\.png.*{said}"):
        kd_keras.data.load(path.parents[2])
