"""Files of a run that were damaged after they were written: named, and made again on demand."""

import dataclasses
import io
import itertools
import json
import shutil

import keras
import pytest
from rich.console import Console

from kd_keras import cli
from kd_keras.checkpoint.file import CheckpointFile, Header
from kd_keras.checkpoint.seal import seal
from kd_keras.experiments import RunFolder, distill, open_run
from kd_keras.experiments import folder as names
from kd_keras.experiments.repair import damage_in, take_away
from kd_keras.experiments.stage_record import DamagedError, Stage, StageRecord
from kd_keras.network_files import load_network
from kd_keras.recipes import digits
from kd_keras.report import Report
from tests.experiments.test_main_job import NETWORKS, assert_same_run, run, weights, without_time

RECIPE = digits()
OF_STAGES = {
    names.TEACHER: ["teacher.keras"],
    names.STUDENT_ALONE: ["student_alone.keras"],
    names.STUDENT: ["student.keras"],
    names.EXPORTED: ["student_float32.tflite", "student_int8.tflite", "export.json"],
    names.REPORTED: ["report.html", "report.csv", "report.json", "history.csv"],
}
FILES = ["recipe.json", "data.json", *itertools.chain(*OF_STAGES.values())]


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


def delete(path):
    path.unlink()


DAMAGES = (flip, truncate, empty, replace_by_folder, delete)


@pytest.fixture
def like_finished(tmp_path):
    """A folder with all files of a finished run, which hold anything but networks and numbers."""
    path = tmp_path / "run"
    with open_run(path, RECIPE) as folder:
        folder.begin(data={"name": "digits"})
        for stage, files in OF_STAGES.items():
            for file in files:
                (path / file).write_text(f"what {stage} left in {file}")
            if stage == names.REPORTED:
                report = Report(title="digits", command="again")
                (path / "report.json").write_text(report.to_json())
            folder.note(stage, files)
    return path


def shown(path, **options):
    output = io.StringIO()
    distill(RECIPE, path, console=Console(file=output, width=200), **options)
    return output.getvalue()


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_a_finished_run_with_a_damaged_file_shows_no_table(like_finished, capsys, file, damage):
    assert "Finished earlier" in shown(like_finished)
    before = {path.name for path in like_finished.iterdir()}
    damage(like_finished / file)
    if (file, damage) == ("report.json", delete):
        return  # not finished any more: who deletes it has it made again
    assert cli.main(["distill", "digits", "--output", str(like_finished)]) == 1
    said = capsys.readouterr()
    assert "With curves" not in said.out
    assert f"{file!r} is {'missing' if damage is delete else 'damaged'}" in said.err
    assert "Put back whole copies" in said.err and "--repair" in said.err
    assert before - {path.name for path in like_finished.iterdir()} <= {file}


@pytest.mark.parametrize("damage", DAMAGES[:4])
def test_a_damaged_record_is_named_too(like_finished, damage):
    damage(like_finished / "stages.json")
    with pytest.raises(DamagedError, match=r"'stages\.json' is damaged.*--repair.*takes the netw"):
        shown(like_finished)


def test_a_record_of_a_newer_version_is_left_alone(like_finished):
    path = like_finished / "stages.json"
    newer = path.read_text().replace('"kd_keras_stages": 1', '"kd_keras_stages": 9')
    path.write_text(newer)
    for repair in (False, True):
        with pytest.raises(ValueError, match="format 9.*Go on with the version that wrote it"):
            shown(like_finished, repair=repair)
    assert path.read_text() == newer


def test_a_run_of_an_earlier_version_is_shown_and_looked_at_as_far_as_it_tells(like_finished):
    (like_finished / "stages.json").unlink()
    for name in NETWORKS:
        (like_finished / f"{name}.keras").unlink()
    (like_finished / "export.json").unlink()
    assert "Finished earlier" in shown(like_finished)
    (like_finished / "export.json").write_text('{"student_int8.tflite": {"sha256": "0"}}')
    with pytest.raises(DamagedError, match=r"'student_int8\.tflite' is damaged"):
        shown(like_finished)
    (like_finished / "export.json").unlink()
    (like_finished / "teacher.keras").write_text("no archive")
    with pytest.raises(DamagedError, match=r"'teacher\.keras' is damaged: it is no whole archive"):
        shown(like_finished)


def test_a_damaged_recipe_of_another_run_cannot_be_repaired_to_this_one(like_finished):
    flip(like_finished / "recipe.json")
    (like_finished / "recipe.json").write_text("{")
    with pytest.raises(ValueError, match="--fresh"):
        distill(digits().smoke(), like_finished, repair=True, console=Console(file=io.StringIO()))


def test_a_state_of_training_behind_its_network_is_removed(tmp_path):
    with open_run(tmp_path, RECIPE) as folder:
        folder.begin(data={"name": "digits"})
        (tmp_path / "teacher.keras").write_text("trained")
        folder.note(names.TEACHER, ["teacher.keras"])
        folder.checkpoint("teacher").write_text("killed before it was removed")
        folder.begin(data={"name": "digits"})
    assert not (tmp_path / "checkpoint_teacher.npz").exists()


@pytest.mark.parametrize("damage", [truncate, empty, replace_by_folder])
def test_a_damaged_state_of_training_is_named_and_taken_away(tmp_path, damage):
    with open_run(tmp_path, RECIPE) as folder:
        folder.begin(data={"name": "digits"})
        path = folder.checkpoint("student")
        path.write_text("PK")
        damage(path)
        with pytest.raises(DamagedError, match=r"'checkpoint_student\.npz'.*trains the st"):
            folder.begin(data={"name": "digits"})
        if damage is replace_by_folder:
            with pytest.raises(DamagedError, match="a folder stands there. Move it away"):
                folder.begin(data={"name": "digits"}, repairs=True)
        else:
            console = Console(file=io.StringIO(), width=300)
            folder.begin(data={"name": "digits"}, repairs=True, console=console)
            assert "Repairing: 'checkpoint_student.npz'" in console.file.getvalue()
            assert not path.exists()


@pytest.fixture
def with_best(tmp_path):
    """A folder in which the student has trained an epoch, which was the best so far."""
    recipe = dataclasses.replace(RECIPE, keep="best")
    with open_run(tmp_path / "run", recipe) as folder:
        folder.begin(data={"name": "digits"})
        header = Header(0, 5, [{"val_accuracy": 0.5}], False, "SGD", "", [])
        CheckpointFile(folder.checkpoint("student")).write(header, [])
        keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]).save(folder.best("student"))
        seal(folder.best("student"))
        folder.begin(data={"name": "digits"})
        yield folder


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_best_epoch_is_named_and_trained_again(with_best, damage):
    assert load_network(with_best.best("student"), "student").count_params() == 6
    damage(with_best.best("student"))
    with pytest.raises(DamagedError, match=r"'best_student\.keras' is.*'checkpoint_student\.npz'"):
        with_best.begin(data={"name": "digits"})
    if damage is not replace_by_folder:
        console = Console(file=io.StringIO(), width=300)
        with_best.begin(data={"name": "digits"}, repairs=True, console=console)
        assert "trains the student again" in console.file.getvalue()
        assert not with_best.best("student").exists()
        assert not with_best.checkpoint("student").exists()


def test_a_best_epoch_behind_its_network_is_removed(with_best):
    with_best.network("student").write_text("trained")
    with_best.note(names.STUDENT, ["student.keras"])
    with_best.begin(data={"name": "digits"})
    assert not with_best.best("student").exists()
    assert not with_best.checkpoint("student").exists()


def test_a_stage_is_done_again_where_what_it_was_made_from_ended_otherwise(like_finished):
    folder = RunFolder(like_finished, RECIPE)
    assert all(folder.is_done(stage) for stage in OF_STAGES)
    (like_finished / "student.keras").write_text("trained again, and otherwise")
    folder.note(names.STUDENT, ["student.keras"])
    undone = [stage for stage in OF_STAGES if not folder.is_done(stage)]
    assert undone == [names.EXPORTED, names.REPORTED]


@pytest.mark.parametrize("name", ["../mine", "{folder}/mine", "..\\mine", "C:mine", "a/../../mine"])
def test_a_record_that_names_a_file_elsewhere_takes_none_away(tmp_path, name):
    mine, folder = tmp_path / "mine", tmp_path / "run"
    mine.write_text("a thesis")
    folder.mkdir()
    name = name.format(folder=tmp_path)
    StageRecord(folder).enter(names.TEACHER, Stage({name: "0" * 64}))
    (found,) = damage_in(folder)
    assert found.file == "stages.json" and "another folder" in found.what
    take_away(folder, [found], {"": "begins anew"}, Console(file=io.StringIO()))
    # One of an earlier version says the same of its exports.
    (folder / "report.json").write_text("{}")
    (folder / "export.json").write_text(json.dumps({name: {"sha256": "0" * 64}}))
    assert [found.file for found in damage_in(folder)] == ["export.json"]
    assert mine.read_text() == "a thesis"


def test_a_folder_of_something_else_gets_no_lock(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    before = tmp_path.stat().st_mtime_ns
    for fresh in (False, True):
        with (
            pytest.raises(ValueError, match="Nothing in it is touched"),
            open_run(tmp_path, RECIPE, fresh),
        ):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    assert tmp_path.stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_repair_trains_what_is_damaged_and_keeps_what_still_fits(
    unbroken, quick, data_dir, tmp_path
):
    folder = tmp_path / "run"
    shutil.copytree(unbroken[0], folder)
    kept = ("student_alone.keras", "student.keras", "student_int8.tflite")
    before = {name: (folder / name).stat().st_mtime_ns for name in kept}
    for damage, name in (
        (flip, "teacher.keras"),
        (truncate, "recipe.json"),
        (empty, "data.json"),
        (delete, "history.csv"),
        (flip, "report.html"),
    ):
        damage(folder / name)
    with pytest.raises(DamagedError, match=r"teacher\.keras.*trains the teacher again"):
        run(quick, folder, data_dir)
    report, output = run(quick, folder, data_dir, repair=True)
    assert "Repairing: " in output and f"Teacher mlp16: {quick.teacher_epochs} epochs" in output
    # The teacher came out as it was, so what was made from it stands, the numbers too.
    assert "Student mlp8" not in output
    assert {name: (folder / name).stat().st_mtime_ns for name in kept} == before
    assert report == unbroken[1]
    for name in ("recipe.json", "data.json"):
        assert (folder / name).read_bytes() == (unbroken[0] / name).read_bytes()
    assert_same_run(folder, report, unbroken)
    assert run(quick, folder, data_dir)[1].startswith("Finished earlier")


@pytest.mark.slow
def test_a_repair_without_a_record_takes_the_networks_as_they_are(
    unbroken, quick, data_dir, tmp_path
):
    folder = tmp_path / "run"
    shutil.copytree(unbroken[0], folder)
    flip(folder / "stages.json")
    flip(folder / "student.keras")
    with pytest.raises(DamagedError, match=r"stages\.json"):
        run(quick, folder, data_dir)
    with pytest.raises(ValueError, match=r"student.* is damaged.*Once it is deleted"):
        run(quick, folder, data_dir, repair=True)
    (folder / "student.keras").unlink()
    report, output = run(quick, folder, data_dir, repair=True)
    assert "Student mlp8 with teacher" in output and "Teacher mlp16:" not in output
    assert without_time(report.rows) == without_time(unbroken[1].rows)
    assert weights(folder, "student")[0].shape == weights(unbroken[0], "student")[0].shape
    assert set(json.loads((folder / "stages.json").read_text())["stages"]) == {
        names.BEGUN,
        *OF_STAGES,
    }
