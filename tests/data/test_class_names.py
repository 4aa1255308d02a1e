"""Names that no label file can hold are refused when data are opened; all others simply work."""

import pytest

import kd_keras
from kd_keras.data.source import as_source

ODD = (
    r"$\frac{1}$",
    "猫",
    "=1+1",
    "<b>",
    "a|b",
    "[red]",
    " lead",
    "👩‍🚒",
    "{{x}}",
    "%s",
    "'\"",
    "A",
    "a",
)


def layout(*names):
    return {f"{split}/{name}": [(6, 5)] * 3 for split in ("train", "test") for name in names}


@pytest.mark.parametrize(
    "name", ["a\nb", " ", "\t", "\u3000", "\u200b", "\x1b[31m", "a\u202eb", "a\u200fb", "a\x85"]
)
def test_a_name_that_cannot_be_a_label_is_refused_before_an_image_is_read(image_folder, name):
    folder = image_folder(layout("cat", name))
    for path in (folder / "train" / "cat").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(ValueError, match="one line of text") as error:
        kd_keras.data.load(folder)
    assert ascii(name) in str(error.value) and str(folder) in str(error.value)
    assert "Rename" in str(error.value)


@pytest.mark.parametrize(
    "pair", [("cat", "cat "), ("caf\u00e9", "cafe\u0301"), ("cat", "c\u200bat")]
)
def test_names_that_look_the_same_are_refused(image_folder, pair):
    folder = image_folder(layout("dog", *pair))
    with pytest.raises(ValueError, match="look the same") as error:
        kd_keras.data.load(folder)
    assert all(ascii(name) in str(error.value) for name in pair)


def test_odd_names_are_the_classes_as_they_are(image_folder):
    splits = kd_keras.data.load(image_folder(layout(*ODD)), batch_size=64)
    assert splits.info.class_names == tuple(sorted(ODD))
    assert sum(len(y) for _, y in splits.train) + splits.info.validation_examples == 3 * len(ODD)


def test_a_prepared_dataset_is_looked_at_too(digits_dir, monkeypatch):
    from kd_keras.data.embedded import open_digits

    builder = open_digits(digits_dir)
    label = builder.info.features["label"]
    monkeypatch.setattr(type(label), "names", property(lambda self: ["0", "\x1b[2J"]))
    with pytest.raises(ValueError, match=r"'\\x1b\[2J' in 'digits'.*Choose another dataset"):
        as_source("digits", builder, None)


@pytest.mark.parametrize("place", ["folder", "image"])
def test_a_path_that_is_no_text_is_refused_with_its_name(image_folder, place):
    folder = image_folder(layout("cat", "dog"))
    if place == "folder":
        folder = folder.rename(folder.with_name("caf\udce9"))
    else:
        image = folder / "test" / "dog" / "0.png"
        image.rename(image.with_name("caf\udce9.png"))
    with pytest.raises(ValueError, match=r"UTF-8.*caf\\udce9.*Rename"):
        kd_keras.data.load(folder)
