"""Texts of TFDS, of files and generated ones: ids by a vocabulary of the training part alone."""

import csv
import os
import pathlib

import numpy as np
import pytest
import tensorflow_datasets as tfds

from kd_keras.data import load
from kd_keras.data.texts import Texts, TextSource, text_and_label
from kd_keras.data.whole_texts import whole_texts
from kd_keras.recipes import recipe_for
from kd_keras.tasks import TextTask, task_of
from kd_keras.vocabulary import UNKNOWN

SENTENCES = [
    f"number {k} is a {'good' if k % 2 else 'bad'} film of the {k}th year" for k in range(40)
]


@pytest.fixture(scope="module")
def opinions():
    return load("opinions", batch_size=64, seed=1)


def texts_of(splits, part):
    """The texts of a split, as tuples of ids."""
    return [tuple(row[row > 0].tolist()) for x, _ in getattr(splits, part) for row in x.numpy()]


def test_opinions_are_batches_of_ids_and_classes(opinions):
    info = opinions.info
    assert (info.task, info.input_dtype, info.class_names) == (
        "text",
        "int32",
        ("negative", "positive"),
    )
    x, y = next(iter(opinions.train))
    assert x.dtype == "int32" and x.shape == (64, *info.input_shape)
    assert set(y.numpy().tolist()) == {0, 1}
    labels = np.concatenate([y for _, y in opinions.test])
    assert len(labels) == info.test_examples == 500
    assert 0.4 < labels.mean() < 0.6
    assert isinstance(task_of(info), TextTask)


def test_no_opinion_is_in_two_splits(opinions):
    train, validation, test = (
        set(texts_of(opinions, part)) for part in ("train", "validation", "test")
    )
    assert not train & validation and not train & test and not validation & test


def test_a_text_belongs_to_the_longest_that_it_is_a_part_of():
    texts = [["b"], ["a", "b", "c"], ["b", "c"], ["a", "c"], ["a", "b", "c"], ["x", "b"], []]
    assert whole_texts(texts) == [1, 1, 1, 3, 1, 5, 6]


def test_validation_holds_whole_texts_and_training_no_part_of_them():
    parts = [text.split(" is ")[0] for text in SENTENCES]
    texts = [text for pair in zip(SENTENCES, parts, strict=True) for text in pair]
    labels = np.array([k // 2 % 2 for k in range(len(texts))])
    source = TextSource(
        "own", ("a", "b"), {"train": Texts(texts, labels), "test": Texts(["x"], labels[:1])}, "1"
    )
    cut = source.cut(0.1)
    train, validation, test = (
        cut.source.splits[part.split].texts[part.start : part.stop] for part in cut[1:4]
    )
    assert validation == SENTENCES[-4:]
    assert train == texts[:-8] and test == ["x"]
    assert cut.rule.endswith(", whole texts; 4 texts that are a part of those are left out")
    # "39th" is a word of validation alone.
    known = cut.source.vocabulary.words
    assert "35th" in known and "39th" not in known
    moved = cut.source.splits["train"].labels[cut.validation.start : cut.validation.stop]
    assert moved.tolist() == [0, 1, 0, 1]


def test_a_published_validation_split_is_taken_whole():
    part = Texts(SENTENCES, np.arange(40) % 2)
    splits = {"train": part, "validation": part.at([1, 2]), "test": part.at([3])}
    cut = TextSource("own", ("a", "b"), splits, "1").cut(0.1)
    assert (cut.train.examples, cut.validation.examples, cut.test.examples) == (40, 2, 1)


def test_the_vocabulary_does_not_depend_on_the_limit(opinions):
    limited = load("opinions", limit=10)
    assert limited.info.train_examples == 10
    assert limited.info.details == opinions.info.details
    assert opinions.info.identity()["details"]["vocabulary"][0] == "the"


@pytest.fixture
def written(tmp_path):
    def write(rows, names=("text", "label")):
        path = tmp_path / "reviews.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([names, *rows])
        return path

    return write


def test_a_csv_file_and_a_folder_of_text_files_are_read(written, tmp_path):
    rows = [(text, "good" if "good" in text else "bad") for text in SENTENCES]
    splits = load(written(rows), validation_fraction=0.2)
    assert splits.info.class_names == ("bad", "good")
    assert (splits.info.name, splits.info.folder) == ("reviews.csv", None)
    assert splits.info.train_examples == 24
    for number, (text, label) in enumerate(rows):
        place = tmp_path / "reviews" / ("test" if number < 8 else "train") / label
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.txt").write_text(text)
    folder = load(tmp_path / "reviews")
    assert (folder.info.train_examples, folder.info.test_examples) == (29, 8)
    assert folder.info.class_names == ("bad", "good")
    assert folder.info.version != splits.info.version
    labels = np.concatenate([y for _, y in folder.validation])
    assert set(labels.tolist()) <= {0, 1}


@pytest.mark.parametrize(
    ("rows", "names", "message"),
    [
        ([("a", "x")], ("words", "label"), r"the columns \['words', 'label'\]"),
        ([("a", "x"), (" ", "y")], ("text", "label"), "an empty one in row 2"),
        ([("a", "x"), ("b",)], ("text", "label"), "an empty one in row 2"),
        ([("a", "x"), ("b", "x")], ("text", "label"), "two classes or more"),
    ],
)
def test_a_csv_file_that_is_none_of_texts_and_labels_is_refused(written, rows, names, message):
    with pytest.raises(ValueError, match=message):
        load(written(rows, names))
    with pytest.raises(ValueError, match="readable as UTF-8"):
        load("missing.csv")


@pytest.mark.parametrize(
    ("name", "delimiter", "names"),
    [
        ("kaggle.csv", ",", ("id", "Review", "sentiment")),
        ("glue.tsv", "\t", ("id", "sentence", "label")),
        # The plainest name counts where several would do.
        ("both.csv", ",", ("content", "text", "label")),
    ],
)
def test_tables_with_other_usual_names_are_read(tmp_path, name, delimiter, names):
    rows = [
        (f"u{n}", text, "good" if "good" in text else "bad") for n, text in enumerate(SENTENCES)
    ]
    with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows([names, *rows])
    splits = load(tmp_path / name)
    assert splits.info.class_names == ("bad", "good")
    plain = tmp_path / "plain.csv"
    with plain.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *(row[1:] for row in rows)])
    assert load(plain).info.version == splits.info.version
    assert recipe_for(str(tmp_path / name)).student == recipe_for("./reviews.csv").student


def test_an_empty_text_file_is_refused(tmp_path):
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.txt").write_text("\n" if name == "bad" else "fine")
    with pytest.raises(ValueError, match="must not be empty"):
        load(tmp_path)


class _Builder:
    """As much of a TFDS builder as is asked for its kind."""

    def __init__(self, features, keys=None):
        self.info = tfds.core.DatasetInfo(
            builder=tfds.core.DatasetIdentity(
                name="own", version=tfds.core.Version("1.0.0"), data_dir="", module_name=""
            ),
            features=tfds.features.FeaturesDict(features),
            supervised_keys=keys,
        )


def test_the_kind_of_a_builder_is_told_by_its_features():
    text, label = tfds.features.Text(), tfds.features.ClassLabel(num_classes=2)
    assert text_and_label("own", _Builder({"s": text, "y": label})) == ("s", "y")
    both = _Builder({"a": text, "b": text, "y": label}, keys=("b", "y"))
    assert text_and_label("own", both) == ("b", "y")
    image = tfds.features.Image(shape=(8, 8, 1))
    assert text_and_label("own", _Builder({"image": image, "label": label})) is None
    with pytest.raises(ValueError, match=r"the texts \['a', 'b'\]"):
        text_and_label("own", _Builder({"a": text, "b": text, "y": label}))


@pytest.mark.slow
def test_sst2_is_read_by_its_name_and_its_phrases_stay_with_their_sentences():
    default = pathlib.Path(__file__).parents[3] / "shared" / "data" / "tensorflow_datasets"
    folder = pathlib.Path(os.environ.get("KD_KERAS_TEST_DATA_DIR", default))
    if not (folder / "glue" / "sst2").is_dir():
        pytest.skip(f"no prepared glue/sst2 in {folder}; set KD_KERAS_TEST_DATA_DIR")
    splits = load("glue/sst2", data_dir=folder, download=False)
    assert splits.info.class_names == ("negative", "positive")
    assert splits.info.test_examples == 872
    assert len(splits.info.details["vocabulary"]) == 13_913
    train, validation = set(texts_of(splits, "train")), set(texts_of(splits, "validation"))
    # Texts with unknown words may look alike and be others.
    assert not {ids for ids in train & validation if UNKNOWN not in ids}
