"""Files of a study that were damaged: named, made again on demand; a refusal leaves nothing."""

import dataclasses
import io
import json
import shutil

import numpy as np
import pytest
from rich.console import Console

from kd_keras.experiments.stage_record import DamagedError
from kd_keras.experiments.study import run_study
from kd_keras.experiments.study.cell_folder import COUNTED, MEASURED, claimed
from kd_keras.experiments.study.folder import open_study
from tests.experiments.study.test_run import logits, run
from tests.experiments.test_damage import delete, empty, flip, replace_by_folder, truncate

CELL = "kl-none-teacher-digits-seed3"
OF_STAGES = {
    "student": ["student.keras"],
    COUNTED: ["training.json"],
    MEASURED: ["predictions.npz", "result.json"],
}


def report(study, path, **options):
    console = Console(file=io.StringIO(), width=200)
    return run_study(study, path, report_only=True, console=console, **options)


@pytest.fixture
def like_finished(study, tmp_path):
    """A study with one cell and one teacher, whose networks hold anything."""
    path = tmp_path / "study"
    folder = open_study(path, study)
    folder.begin({"name": "digits"})
    (cell,) = [cell for cell in study.cells() if cell.name == CELL]
    with claimed(folder.teacher("digits"), study.recipe) as teacher:
        teacher.network("teacher").write_text("trained")
        teacher.note("teacher", ["teacher.keras"])
    with claimed(folder.cell(cell), study.recipe) as results:
        for stage, files in OF_STAGES.items():
            for file in files:
                (results.path / file).write_text("written")
            if stage == MEASURED:
                with open(results.path / "predictions.npz", "wb") as file:
                    np.savez(file, logits=np.eye(10, dtype="float32"), labels=np.arange(10))
                result = {
                    "cell": dataclasses.asdict(cell),
                    "measures": {"accuracy": 1.0},
                    "corruption_errors": {},
                    "robustness_examples": 0,
                    "cost": {"training_seconds": 1.0, "teacher_calls": 0, "parameters": 1},
                    "validation_curve": [1.0],
                    "feedback": {},
                }
                (results.path / "result.json").write_text(json.dumps(result))
            results.note(stage, files)
    return path


@pytest.mark.parametrize("damage", [flip, truncate, empty, replace_by_folder, delete])
@pytest.mark.parametrize(
    "file", ["teacher.keras", "student.keras", "training.json", "predictions.npz", "stages.json"]
)
def test_a_damaged_cell_or_teacher_is_named_and_not_reported(like_finished, study, file, damage):
    place = "teachers/digits" if file == "teacher.keras" else f"cells/{CELL}"
    damage(like_finished / place / file)
    if (file, damage) == ("stages.json", delete):
        return  # as of an earlier version
    what = "missing" if damage is delete else "damaged"
    with pytest.raises(DamagedError, match=f"{place}' '{file}' is {what}.*--repair"):
        report(study, like_finished, repair=True)  # a report makes nothing again


@pytest.mark.parametrize("damage", [truncate, empty, replace_by_folder])
@pytest.mark.parametrize("file", ["predictions.npz", "result.json"])
def test_cells_of_earlier_versions_are_named_where_they_cannot_be_read(
    like_finished, study, file, damage
):
    cell = like_finished / "cells" / CELL
    (cell / "stages.json").unlink()
    damage(cell / file)
    with pytest.raises(ValueError, match=f"{file}' is damaged.*delete the folder .*{CELL}"):
        report(study, like_finished)


@pytest.mark.parametrize("damage", [truncate, empty])
def test_a_damaged_note_of_the_study_is_named_and_written_again(like_finished, study, damage):
    before = (like_finished / "study.json").read_bytes()
    damage(like_finished / "study.json")
    with pytest.raises(ValueError, match=r"study\.json' is damaged.*of this command, repair"):
        report(study, like_finished)
    folder = open_study(like_finished, study, repairs=True)
    folder.begin(None, repairs=True)
    assert (like_finished / "study.json").read_bytes() == before


def test_commands_that_are_no_text_any_more_do_not_end_a_study(like_finished, study):
    (like_finished / "commands.txt").write_bytes(b"kd-keras study \xff\xfe\n")
    summary = report(study, like_finished)
    assert summary.commands[0].startswith("kd-keras study") and len(summary.treatments) == 1


@pytest.mark.parametrize(
    ("changes", "options", "said"),
    [
        ({}, {"teachers": "nowhere"}, "holds no study"),
        ({"dataset": "digts"}, {}, "digts"),
        ({"student": "resnte"}, {}, "recipe's `student` cannot be built"),
        ({}, {"report_only": True}, "No cell of the study"),
    ],
)
def test_what_is_mistyped_leaves_nothing(study, data_dir, tmp_path, changes, options, said):
    study = dataclasses.replace(study, recipe=dataclasses.replace(study.recipe, **changes))
    with pytest.raises(ValueError, match=said):
        run(study, tmp_path / "study", data_dir, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_none_is_refused(study, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("file", "loop"):
        with pytest.raises(ValueError, match=f"`output` must be a folder, and '.*{name}' is none"):
            run_study(study, tmp_path / name)


@pytest.mark.slow
def test_a_repaired_study_ends_as_it_was(finished, study, data_dir, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(finished[0], folder)
    flip(folder / "teachers" / "digits" / "teacher.keras")
    flip(folder / "cells" / CELL / "student.keras")
    empty(folder / "cells" / "none-digits-seed4" / "predictions.npz")
    truncate(folder / "data.json")
    with pytest.raises(DamagedError):
        run(study, folder, data_dir)
    assert run(study, folder, data_dir, repair=True)[0].missing == ()
    for cell in study.cells():
        np.testing.assert_array_equal(logits(folder, cell)[0], logits(finished[0], cell)[0])
    assert (folder / "data.json").read_bytes() == (finished[0] / "data.json").read_bytes()


@pytest.mark.slow
def test_a_damaged_teacher_is_not_taken_over(finished, study, data_dir, tmp_path):
    shutil.copytree(finished[0] / "teachers", tmp_path / "old" / "teachers")
    for name in ("study.json", "data.json"):
        shutil.copy(finished[0] / name, tmp_path / "old" / name)
    flip(tmp_path / "old" / "teachers" / "digits" / "teacher.keras")
    with pytest.raises(DamagedError, match="teachers/digits' 'teacher.keras' is damaged"):
        run(study, tmp_path / "new", data_dir, teachers=tmp_path / "old")
    assert not (tmp_path / "new").exists()
