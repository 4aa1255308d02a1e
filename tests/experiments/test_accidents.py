"""A full disk, a folder that goes away and want of memory in the middle of a run: told in words."""

import errno
import io
import os
import shutil

import pytest
from rich.console import Console

from kd_keras import cli
from kd_keras.checkpoint.file import CheckpointFile, Header
from kd_keras.experiments import distill
from kd_keras.experiments.study import Study, run_study
from kd_keras.experiments.training import Training
from kd_keras.memory_errors import OutOfMemoryError
from kd_keras.recipes import digits
from kd_keras.whole_file import UnwritableError, write_whole

RECIPE = digits().smoke()


def quiet():
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def stopped_by(monkeypatch):
    """Let something happen where a network would be trained."""

    def stop(happens):
        monkeypatch.setattr(Training, "run", lambda training, folder, *_: happens(folder))

    return stop


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, r"No space left on device\. It needs at least 2 bytes, and .* Make room"),
        (errno.EROFS, "Read-only file system. Choose a folder that you may write to"),
    ],
)
def test_the_error_names_the_file_and_says_that_the_same_command_goes_on(
    stopped_by, data_dir, tmp_path, monkeypatch, capsys, number, said
):
    def fails(descriptor):
        raise OSError(number, os.strerror(number))

    def write(folder):
        monkeypatch.setattr(os, "fsync", fails)
        write_whole(folder.path / "history.csv", "ab")

    stopped_by(write)
    output = tmp_path / "run"
    with pytest.raises(UnwritableError, match=f"{said}.*history.csv'. Then the same command goes"):
        distill(RECIPE, output, data_dir=data_dir, console=quiet())
    assert sorted(path.name for path in output.iterdir()) == [
        ".lock",
        "data.json",
        "recipe.json",
        "stages.json",
    ]
    monkeypatch.undo()
    stopped_by(write)
    call = ["distill", "digits", "--smoke", "--fresh", "--output", str(output)]
    assert cli.main([*call, "--data-dir", str(data_dir)]) == 1
    told = capsys.readouterr().err
    assert "Then the same command without --fresh goes on" in told and "Traceback" not in told


def write_checkpoint(folder):
    header = Header(0, 4, [{"loss": 1.0}], False, "sgd", "", [])
    CheckpointFile(folder.checkpoint("teacher")).write(header, [])


def test_a_checkpoint_without_room_says_that_the_same_command_goes_on(
    stopped_by, data_dir, tmp_path, monkeypatch
):
    def fails(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write(folder):
        monkeypatch.setattr(os, "fsync", fails)
        write_checkpoint(folder)

    stopped_by(write)
    said = (
        "checkpoint of 1 complete epochs cannot be written.*No space left on device. It needs at "
        r"least \d+ bytes, and .* are free. Make room.*same command go"
    )
    with pytest.raises(UnwritableError, match=said):
        distill(RECIPE, tmp_path / "run", data_dir=data_dir, console=quiet())


@pytest.mark.parametrize(
    "write", [write_checkpoint, lambda folder: write_whole(folder.path / "history.csv", "ab")]
)
def test_a_folder_that_vanishes_is_told(stopped_by, data_dir, tmp_path, write):
    def vanish(folder):
        shutil.rmtree(folder.path)
        write(folder)

    stopped_by(vanish)
    with pytest.raises(UnwritableError, match="With the folder as it was the same command goes on"):
        distill(RECIPE, tmp_path / "run", data_dir=data_dir, console=quiet())


def test_a_disk_without_room_for_the_first_file_is_told(data_dir, tmp_path, monkeypatch):
    def fails(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(UnwritableError, match=r"Make room.*recipe\.json"):
        distill(RECIPE, tmp_path / "run", data_dir=data_dir, console=quiet())


def test_want_of_memory_names_batch_and_images(stopped_by, data_dir, tmp_path):
    def too_much(folder):
        raise MemoryError("Unable to allocate 8.00 GiB for an array")

    stopped_by(too_much)
    said = "Unable to allocate 8.00 GiB.*batches of 64 images of 8x8x1.*`batch_size` than 64"
    with pytest.raises(OutOfMemoryError, match=said):
        distill(RECIPE, tmp_path / "run", data_dir=data_dir, console=quiet())
    study = Study(recipe=RECIPE, distillation=("none",), augmentation=("none",), seeds=1)
    with pytest.raises(OutOfMemoryError, match="lower `batch_size` than 64.*same command goes on"):
        run_study(study, tmp_path / "study", data_dir=data_dir, console=quiet())
