"""Teachers of an earlier study whose networks are the user's own files."""

import dataclasses
import json

import keras
import pytest

from kd_keras.experiments.stages import prepare
from kd_keras.experiments.study import Study
from kd_keras.experiments.study.cell_folder import claimed
from kd_keras.experiments.study.folder import open_study
from kd_keras.experiments.study.teachers import data_with_teachers, find_teachers
from kd_keras.experiments.training import save_network
from kd_keras.recipes import Recipe

from .test_run import run


def save(path, units):
    layers = [keras.layers.Flatten(), keras.layers.Dense(units), keras.layers.Dense(10)]
    keras.Sequential([keras.Input((8, 8, 1)), *layers]).save(path)


@pytest.fixture(scope="module")
def earlier(data_dir, tmp_path_factory):
    """A study, and a folder of it that holds the teacher and no cells yet."""
    place = tmp_path_factory.mktemp("own")
    for name, units in (("teacher", 5), ("student", 4), ("other_student", 3), ("other", 6)):
        save(place / f"{name}.keras", units)
    recipe = Recipe(
        dataset="digits", teacher=str(place / "teacher.keras"), train_teacher="no",
        student=str(place / "student.keras"), epochs=1, batch_size=64, limit=64,
    )  # fmt: skip
    study = Study(
        recipe=recipe, distillation=("kl",), augmentation=("none",),
        teacher_augmentation=("none",), seeds=1,
    )  # fmt: skip
    folder = open_study(place / "study", study)
    folder.begin(prepare(recipe, data_dir).identity())
    with claimed(folder.teacher("none"), recipe) as trained:
        save_network(trained, "teacher", keras.models.load_model(recipe.teacher), [])
    return study, place


def of_another_student(study, place):
    student = str(place / "other_student.keras")
    return dataclasses.replace(study, recipe=dataclasses.replace(study.recipe, student=student))


@pytest.mark.slow
def test_another_student_in_a_file_learns_from_them(earlier, data_dir, tmp_path):
    study, place = earlier
    other = of_another_student(study, place)
    summary, _ = run(other, tmp_path / "new", data_dir, teachers=place / "study")
    assert summary.missing == ()
    name = "teachers/none/teacher.keras"
    assert (tmp_path / "new" / name).read_bytes() == (place / "study" / name).read_bytes()
    digests = [
        json.loads((folder / "data.json").read_text())["own_networks"]
        for folder in (place / "study", tmp_path / "new")
    ]
    assert digests[0]["teacher"] == digests[1]["teacher"]
    assert digests[0]["student"] != digests[1]["student"]


def test_another_teacher_in_its_file_is_refused_and_nothing_is_written(earlier, data_dir, tmp_path):
    study, place = earlier
    kept, now = ((place / f"{name}.keras").read_bytes() for name in ("teacher", "other"))
    (place / "teacher.keras").write_bytes(now)
    was = json.loads((place / "study" / "data.json").read_text())["own_networks"]["teacher"]
    try:
        with pytest.raises(ValueError, match=f"study' holds.*file 'teacher' is '{was}' there and"):
            run(study, tmp_path / "new", data_dir, teachers=place / "study")
    finally:
        (place / "teacher.keras").write_bytes(kept)
    assert not (tmp_path / "new").exists()


def test_without_the_data_the_other_studys_note_is_taken_but_for_the_student(earlier, tmp_path):
    """As on Ray, where this process opens no data."""
    study, place = earlier
    new = open_study(tmp_path / "new", of_another_student(study, place))
    found = find_teachers(new, place / "study", ("none",))
    taken = data_with_teachers(new, found, None)
    then = json.loads((place / "study" / "data.json").read_text())
    assert {**taken, "own_networks": None} == {**then, "own_networks": None}
    assert taken["own_networks"]["student"] != then["own_networks"]["student"]
