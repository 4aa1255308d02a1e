import os
import shutil

import pytest

import kd_keras
from kd_keras.data import embedded


def everything_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_dir())


def test_preparing_says_nothing_and_leaves_nothing_unfinished(tmp_path, capfd):
    embedded.open_digits(tmp_path)
    assert capfd.readouterr() == ("", "")
    assert everything_in(tmp_path) == ["digits", "digits/1.0.0"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "dataset_info.json").unlink(),
        pytest.param(
            lambda folder: (folder / "dataset_info.json").write_text("{"), marks=pytest.mark.slow
        ),
        pytest.param(
            lambda folder: (folder / "digits-train.tfrecord-00000-of-00001").unlink(),
            marks=pytest.mark.slow,
        ),
        lambda folder: os.truncate(folder / "digits-test.tfrecord-00000-of-00001", 1000),
    ],
    ids=["no info", "half an info", "no records", "half the records"],
)
def test_a_half_prepared_folder_is_prepared_again(digits_dir, tmp_path, damage):
    shutil.copytree(digits_dir, tmp_path, dirs_exist_ok=True)
    damage(tmp_path / "digits" / "1.0.0")
    splits = kd_keras.data.load("digits", data_dir=tmp_path)
    assert sum(len(y) for _, y in splits.test) == 300
    assert sum(len(y) for _, y in splits.train) == 1197
    assert everything_in(tmp_path) == ["digits", "digits/1.0.0"]


def test_what_a_killed_preparation_left_behind_is_no_obstacle(tmp_path):
    left = tmp_path / "digits" / "incomplete.ABCDEF_1.0.0"
    left.mkdir(parents=True)
    (left / "digits-train.tfrecord-00000-of-00001").write_bytes(b"half")
    assert kd_keras.data.load("digits", data_dir=tmp_path).info.train_examples == 1197


def test_the_second_of_two_preparations_takes_what_the_first_left(digits_dir, tmp_path):
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    mine.mkdir()
    (mine / "file").write_text("mine")
    shutil.copytree(digits_dir / "digits" / "1.0.0", theirs)

    class Overtaken(type(theirs)):
        """A path to which another process renames its data just before this one does."""

        def rename(self, target):
            if self.name == "1.0.0":
                theirs.rename(self)
            raise OSError("Directory not empty")

    embedded._put_in_place(Overtaken(mine), Overtaken(tmp_path / "root" / "1.0.0"))
    assert (tmp_path / "root" / "1.0.0" / "dataset_info.json").is_file()
    assert (mine / "file").is_file()


def test_a_data_dir_that_cannot_be_written_is_refused_by_name(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ValueError, match="`data_dir` must be a folder that this process can"):
        kd_keras.data.load("digits", data_dir=tmp_path / "file" / "data")


def test_a_default_folder_that_cannot_be_written_is_replaced_with_a_warning(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setattr(embedded.tfds.core.constants, "DATA_DIR", str(tmp_path / "file" / "data"))
    with pytest.warns(UserWarning, match="cannot be written.*temporary folder"):
        splits = kd_keras.data.load("digits")
    assert splits.info.train_examples == 1197
    assert not (tmp_path / "file" / "data").exists()
