"""A run knows which data it is of, and neither goes on with others nor passes for theirs."""

import dataclasses
import hashlib
import io
import json
import os
import shutil

import numpy as np
import PIL.Image
import pytest
from rich.console import Console

from kd_keras.experiments import distill
from kd_keras.experiments.data_identity import keep_or_refuse, refuse_other_images
from kd_keras.experiments.study import Study, run_study
from kd_keras.image_files import fingerprint
from kd_keras.recipes import Recipe

RECIPE = Recipe(
    dataset="folder",
    teacher="mlp8",
    student="mlp4",
    policy="none",
    teacher_epochs=1,
    epochs=1,
    batch_size=8,
    optimizer="adam",
    teacher_learning_rate=0.01,
    learning_rate=0.01,
)


def write_images(folder, seed, count=8):
    random = np.random.default_rng(seed)
    for place in ("train/a", "train/b", "test/a", "test/b"):
        (folder / place).mkdir(parents=True)
        for index in range(count):
            pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            # Noise compresses differently each time, so the sizes of the files differ.
            PIL.Image.fromarray(pixels).save(folder / place / f"{index}.jpg", quality=95)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("folders")
    return write_images(root / "mine", 0), write_images(root / "other", 1)


@pytest.fixture(scope="module")
def finished(folders, tmp_path_factory):
    output = tmp_path_factory.mktemp("finished") / "run"
    # The trials of robustness take longest, and are of the same data as the rest.
    return output, distill(RECIPE, output, data_dir=folders[0], console=quiet(), robustness=False)


def quiet():
    return Console(file=io.StringIO(), width=300)


@pytest.mark.slow
def test_a_finished_run_is_not_shown_for_other_images(finished, folders):
    output, report = finished
    assert distill(RECIPE, output, data_dir=folders[0], console=quiet()) == report
    with pytest.raises(ValueError, match=r"results of other data: the digest.*--fresh"):
        distill(RECIPE, output, data_dir=folders[1], console=quiet())


@pytest.mark.slow
def test_images_may_move(finished, folders, tmp_path):
    output, report = finished
    moved = shutil.copytree(folders[0], tmp_path / "elsewhere")
    assert distill(RECIPE, output, data_dir=moved, console=quiet()) == report


@pytest.mark.slow
def test_a_finished_run_whose_images_are_gone_is_shown_and_says_so(finished, tmp_path):
    output, report = finished
    console = quiet()
    assert distill(RECIPE, output, data_dir=tmp_path / "gone", console=console) == report
    assert "Its data could not be compared: its images are not at" in console.file.getvalue()


@pytest.mark.slow
def test_a_run_without_the_note_is_shown_and_says_so(finished, folders, tmp_path):
    output = shutil.copytree(finished[0], tmp_path / "run")
    (output / "data.json").unlink()
    with pytest.raises(ValueError, match=r"'data\.json' is missing.*--repair"):
        distill(RECIPE, output, data_dir=folders[1], console=quiet())
    (output / "stages.json").unlink()  # as an early version left it
    console = quiet()
    distill(RECIPE, output, data_dir=folders[1], console=console)
    assert "could not be compared: it has no data.json" in console.file.getvalue()


@pytest.mark.slow
def test_the_call_in_the_report_names_the_data(finished, folders):
    # By its name alone: the report may be handed on, and the rest of the path is this machine's.
    assert f"data_dir={folders[0].name!r})" in finished[1].command


def test_a_killed_run_does_not_go_on_with_other_images(folders, tmp_path, monkeypatch):
    class Died(BaseException):
        pass

    def die(*_):
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr("kd_keras.experiments.stages.train_networks", die)
        with pytest.raises(Died):
            distill(RECIPE, tmp_path, data_dir=folders[0], console=quiet())
        before = (tmp_path / "data.json").read_text()
        with pytest.raises(Died):
            distill(RECIPE, tmp_path, data_dir=folders[0], console=quiet())
        with pytest.raises(ValueError, match=r"results of other data: the digest.*--output"):
            distill(RECIPE, tmp_path, data_dir=folders[1], console=quiet())
        assert (tmp_path / "data.json").read_text() == before
        with pytest.raises(Died):
            distill(RECIPE, tmp_path, data_dir=folders[1], fresh=True, console=quiet())
    assert json.loads((tmp_path / "data.json").read_text())["images"] == fingerprint(folders[1])


def test_another_version_or_another_cut_is_refused_by_name(tmp_path):
    data = {"name": "digits", "version": "1.0.0", "split_rule": "train: train[0:9]"}
    keep_or_refuse(tmp_path, data, "Remedy.")
    keep_or_refuse(tmp_path, data, "Remedy.")
    changed = {**data, "version": "2.0.0", "split_rule": "train: train[0:8]"}
    with pytest.raises(ValueError) as caught:
        keep_or_refuse(tmp_path, changed, "Remedy.")
    assert "version is '1.0.0' there and '2.0.0' here" in str(caught.value)
    assert "split_rule is" in str(caught.value) and "name is" not in str(caught.value)
    assert str(caught.value).endswith(" Remedy.")


def test_a_run_that_noted_no_images_of_classes_alone_is_kept_and_says_so(folders, tmp_path):
    classes = folders[0] / "train"
    keep_or_refuse(tmp_path, {"images": hashlib.sha256().hexdigest()}, "Remedy.")
    recipe = dataclasses.replace(RECIPE, dataset=str(classes))
    unknown = refuse_other_images(tmp_path, recipe, None, "Remedy.")
    assert "an earlier version of kd_keras did not note the images" in unknown
    assert fingerprint(classes) != hashlib.sha256().hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_a_damaged_note_is_refused_with_the_remedy(finished, folders, tmp_path, text):
    output = shutil.copytree(finished[0], tmp_path / "run")
    (output / "data.json").write_text(text)
    with pytest.raises(ValueError, match=r"data\.json' is damaged.*--repair"):
        distill(RECIPE, output, data_dir=folders[0], console=quiet())
    # The present images are not those that the note was of, so it is not written for them.
    with pytest.raises(ValueError, match=r"data\.json.*other data than this command's.*--fresh"):
        distill(RECIPE, output, data_dir=folders[1], repair=True, console=quiet())
    (output / "stages.json").unlink()
    with pytest.raises(ValueError, match=r"data\.json.*--fresh"):
        distill(RECIPE, output, data_dir=folders[0], console=quiet())


def test_the_fingerprint_sees_names_and_sizes_of_images_alone(folders, tmp_path):
    mine = shutil.copytree(folders[0], tmp_path / "mine")
    before = fingerprint(mine)
    (mine / "train" / "a" / "notes.txt").write_text("x")
    os.utime(mine / "train" / "a" / "0.jpg", (0, 0))
    assert fingerprint(mine) == before == fingerprint(folders[0])
    (mine / "train" / "a" / "0.jpg").rename(mine / "train" / "a" / "9.jpg")
    renamed = fingerprint(mine)
    with open(mine / "train" / "a" / "9.jpg", "ab") as file:
        file.write(b"\0")
    assert len({before, renamed, fingerprint(mine)}) == 3


@pytest.mark.slow
def test_a_study_does_not_mix_cells_of_different_images(folders, tmp_path):
    def run(seeds, data_dir):
        study = Study(
            recipe=RECIPE,
            distillation=("none",),
            augmentation=("none",),
            teacher_augmentation=("none",),
            seeds=seeds,
        )
        return run_study(study, tmp_path, data_dir=data_dir, robustness_examples=0, console=quiet())

    run(1, folders[0])
    with pytest.raises(ValueError, match=r"results of other data: the digest.*cells could not be"):
        run(2, folders[1])
