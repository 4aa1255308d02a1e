"""The main job on a small recipe: what it leaves, and that a killed run ends as an unbroken one."""

import dataclasses
import functools
import io
import json
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
from rich.console import Console

import kd_keras
from kd_keras import data, evaluate, export
from kd_keras.experiments import distill
from kd_keras.experiments.history import read_history
from kd_keras.report import read_report
from tests.experiments.conftest import DEATHS
from tests.processes import Process

# Half a minute to make the run; CI has a step for slow tests, and one for the main job itself.
pytestmark = pytest.mark.slow

NETWORKS = ("teacher", "student_alone", "student")


def run(recipe, folder, data_dir, robustness=False, **options):
    output = io.StringIO()
    report = distill(
        recipe,
        folder,
        data_dir=data_dir,
        console=Console(file=output, width=100),
        robustness=robustness,
        **options,
    )
    return report, output.getvalue()


def weights(folder, name):
    return keras.models.load_model(folder / f"{name}.keras").get_weights()


def without_time(rows):
    # A `.keras` file is a zip archive with dates in it, so its size may differ by some bytes.
    return [dataclasses.replace(row, latency_ms=None, bytes=None) for row in rows]


class Trained(Exception):
    """All networks are."""


def epochs(folder):
    """The history without the times."""
    histories = read_history(folder / "history.csv")
    return {
        name: [{log: value for log, value in epoch.items() if log != "seconds"} for epoch in rows]
        for name, rows in histories.items()
    }


def assert_same_networks(folder, unbroken):
    assert epochs(folder) == epochs(unbroken[0])
    for name in NETWORKS:
        for mine, theirs in zip(weights(folder, name), weights(unbroken[0], name), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def assert_same_run(folder, report, unbroken):
    unbroken_folder, unbroken_report, _ = unbroken
    assert_same_networks(folder, unbroken)
    for name in ("student_float32.tflite", "student_int8.tflite"):
        assert (folder / name).read_bytes() == (unbroken_folder / name).read_bytes()
    assert report.histories == unbroken_report.histories
    assert without_time(report.rows) == without_time(unbroken_report.rows)


def test_a_run_leaves_all_of_its_files_and_nothing_else(unbroken):
    folder, _, _ = unbroken
    assert {path.name for path in folder.iterdir()} == {
        ".lock",
        "recipe.json",
        "data.json",
        "history.csv",
        "teacher.keras",
        "student_alone.keras",
        "student.keras",
        "student_float32.tflite",
        "student_int8.tflite",
        "export.json",
        "stages.json",
        "report.json",
        "report.html",
        "report.csv",
    }


def test_the_table_is_of_the_test_split_and_of_the_files_in_the_folder(unbroken, quick, data_dir):
    folder, report, _ = unbroken
    rows = {row.name: row for row in report.rows}
    assert list(rows) == [
        "teacher",
        "student alone",
        "distilled student",
        "float32 .tflite",
        "int8 .tflite",
    ]
    test = data.load("digits", data_dir=data_dir).test
    teacher, labels = evaluate.predict_logits(
        keras.models.load_model(folder / "teacher.keras"), test
    )
    student, _ = evaluate.predict_logits(keras.models.load_model(folder / "student.keras"), test)
    assert rows["teacher"].accuracy == evaluate.accuracy(teacher, labels)
    assert rows["teacher"].agreement == 1
    assert rows["distilled student"].accuracy == evaluate.accuracy(student, labels)
    assert rows["distilled student"].agreement == evaluate.agreement(student, teacher)
    assert rows["float32 .tflite"].accuracy == rows["distilled student"].accuracy
    # 64 * 8 + 8 weights of the hidden layer, 8 * 10 + 10 of the logits.
    assert rows["int8 .tflite"].parameters == 610
    for name, kind in (("student_float32", "float32"), ("student_int8", "int8")):
        assert rows[f"{kind} .tflite"].bytes == (folder / f"{name}.tflite").stat().st_size
        assert rows[f"{kind} .tflite"].latency_ms > 0


def test_every_model_is_examined_and_without_trials_nothing_is_tried(unbroken, quick):
    folder, report, _ = unbroken
    for row in report.rows:
        examination = row.examination
        assert examination.examples == 300
        assert examination.accuracy == row.accuracy
        assert examination.fidelity.agreement == row.agreement
        assert examination.fidelity_on_views.examples == 300
        # Whole batches, as many as hold 300 examples.
        assert examination.training.examples == 10 * quick.batch_size
        assert examination.robustness.corruption_errors == {}
        assert (examination.robustness.fgsm, row.mce) == (None, None)
    assert report.classes == tuple("0123456789")
    assert (folder / "report.csv").read_text().count("\n") == 1 + len(report.rows)


def test_with_trials_the_student_alone_is_the_baseline(
    unbroken, quick, data_dir, tmp_path, monkeypatch
):
    folder, _, _ = unbroken
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run" / "report.json").unlink()
    # The fifteen corruptions take long to trace, and no part of the job depends on their number.
    few = functools.partial(evaluate.Trials, corruptions=("fog", "snow"), severities=(3,))
    monkeypatch.setattr("kd_keras.tasks.image.Trials", few)
    report, _ = run(quick, tmp_path / "run", data_dir, robustness=True)
    rows = {row.name: row for row in report.rows}
    errors = {name: row.examination.robustness.corruption_errors for name, row in rows.items()}
    assert set(errors["teacher"]) == {"fog", "snow"}
    assert rows["student alone"].mce == 1
    ratios = [errors["teacher"][c][0] / errors["student alone"][c][0] for c in ("fog", "snow")]
    assert rows["teacher"].mce == pytest.approx(np.mean(ratios))
    student = rows["distilled student"].examination
    assert 0 <= student.robustness.pgd <= student.robustness.fgsm < student.accuracy
    assert rows["int8 .tflite"].examination.robustness.fgsm is None
    assert student.robustness.rotations[4] == (0.0, student.accuracy)


def test_the_files_are_verified_on_the_whole_test_split_and_the_run_says_how(unbroken, data_dir):
    folder, _, output = unbroken
    verified = json.loads((folder / "export.json").read_text())
    test = data.load("digits", data_dir=data_dir).test
    student = keras.models.load_model(folder / "student.keras")
    expected, _ = evaluate.predict_logits(student, test)
    assert list(verified) == ["student_float32.tflite", "student_int8.tflite"]
    for name, numbers in verified.items():
        found, _ = export.predict(folder / name, test)
        difference = np.abs(found - expected).max()
        assert numbers["test_images"] == 300
        assert numbers["agreement"] == evaluate.agreement(found, expected)
        assert numbers["largest_difference"] == pytest.approx(difference, abs=1e-5)
        assert numbers["bytes"] == (folder / name).stat().st_size
        assert f"{name}: on 300 test images {100 * numbers['agreement']:.2f} %" in output
    assert verified["student_float32.tflite"]["agreement"] == 1


def test_training_taught_the_networks_something(unbroken):
    _, report, _ = unbroken
    rows = {row.name: row for row in report.rows}
    # One in ten by chance. Four epochs make a poor teacher, and who learns from it learns that.
    assert rows["teacher"].accuracy > 0.2
    assert rows["student alone"].accuracy > 0.4
    assert rows["distilled student"].agreement > rows["student alone"].agreement + 0.1


def test_the_history_has_every_epoch_of_every_network(unbroken, quick):
    folder, report, _ = unbroken
    histories = read_history(folder / "history.csv")
    assert {name: len(epochs) for name, epochs in histories.items()} == {
        "teacher": quick.teacher_epochs,
        "student_alone": quick.epochs,
        "student": quick.epochs,
    }
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "seconds"} <= set(
        histories["teacher"][0]
    )
    assert "agreement" in histories["student"][0]
    assert report.histories["student"]["loss"] == [e["loss"] for e in histories["student"]]
    assert "seconds" not in report.histories["student"]


def test_the_report_says_what_was_run_and_on_what(unbroken, quick):
    folder, report, _ = unbroken
    assert report.command == "again"
    assert report.recipe == quick.to_dict()
    assert report.environment["kd_keras"] == kd_keras.__version__
    assert report.environment["keras"] == keras.__version__
    assert read_report(folder / "report.json") == report
    assert "distilled student" in (folder / "report.html").read_text()


def test_the_output_names_the_stages_and_ends_with_the_table(unbroken, quick):
    folder, _, output = unbroken
    lines = output.splitlines()
    assert lines[0].startswith("digits: mlp16 teaches mlp8")
    for stage in ("Teacher mlp16", "Student mlp8 alone", "Student mlp8 with teacher mlp16"):
        assert any(line.startswith(f"{stage}: ") for line in lines)
    assert any(line.startswith(f"  epoch {quick.epochs}/{quick.epochs}  loss") for line in lines)
    assert "int8 .tflite" in output
    assert lines[-1] == f"With curves: {folder / 'report.html'}"


def test_the_saved_teacher_can_be_trained_on(unbroken):
    folder, _, _ = unbroken
    assert keras.models.load_model(folder / "teacher.keras").trainable_weights


def test_the_students_start_from_the_same_weights_and_end_apart(unbroken, quick, data_dir):
    folder, _, _ = unbroken
    alone, distilled = weights(folder, "student_alone"), weights(folder, "student")
    assert any((a != b).any() for a, b in zip(alone, distilled, strict=True))


def test_a_killed_run_goes_on_and_ends_as_the_unbroken_one(unbroken, quick, data_dir, tmp_path):
    folder = tmp_path / "run"
    (tmp_path / "recipe.json").write_text(quick.to_json())
    code = (
        "import sys, pathlib\n"
        "from kd_keras.recipes import Recipe\n"
        "from kd_keras.experiments import distill\n"
        "recipe = Recipe.from_json(pathlib.Path(sys.argv[1]).read_text())\n"
        "distill(recipe, sys.argv[2], data_dir=sys.argv[3], robustness=False)\n"
    )
    arguments = [tmp_path / "recipe.json", folder, data_dir]
    process = Process(code, *arguments)
    history = folder / "history.csv"
    process.wait_for(lambda: len(read_history(history).get("student_alone", ())) >= 3)
    process.kill()
    assert (folder / "teacher.keras").exists()
    assert not (folder / "student.keras").exists()
    trained = (folder / "teacher.keras").stat().st_mtime_ns

    report, output = run(quick, folder, data_dir)
    assert "going on after epoch" in output
    assert "Teacher mlp16:" not in output
    assert (folder / "teacher.keras").stat().st_mtime_ns == trained
    assert_same_run(folder, report, unbroken)


@pytest.mark.parametrize("rename", DEATHS)
def test_a_run_that_dies_between_any_two_files_ends_as_the_unbroken_one(
    unbroken, deaths, quick, data_dir, tmp_path, monkeypatch, rename
):
    folder = shutil.copytree(deaths / str(rename), tmp_path / "run")
    assert not (folder / "report.json").exists()
    if not (folder / "student.keras").exists():
        # What follows from equal networks is shown by the deaths behind them, and takes longest.
        def stop(*arguments):
            raise Trained

        monkeypatch.setattr("kd_keras.experiments.stages.export_student", stop)
        with pytest.raises(Trained):
            run(quick, folder, data_dir)
        assert_same_networks(folder, unbroken)
        return
    # Drawing takes as long as training; other tests look at the page.
    monkeypatch.setattr("kd_keras.report.page.render", lambda report: "")
    report, _ = run(quick, folder, data_dir)
    assert_same_run(folder, report, unbroken)


@pytest.mark.parametrize(
    ("fresh", "has_history", "said"),
    [
        (False, True, "the same command goes on after the last complete epoch"),
        (True, True, "the same command without --fresh goes on after the last complete epoch"),
        (True, False, ""),
    ],
)
def test_an_interrupt_says_how_to_go_on_where_there_is_something_to_go_on_with(
    quick, data_dir, tmp_path, monkeypatch, fresh, has_history, said
):
    def interrupted(material, folder, console):
        if has_history:
            (folder.path / "history.csv").write_text("")
        raise KeyboardInterrupt

    monkeypatch.setattr("kd_keras.experiments.stages.train_networks", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        run(quick, tmp_path, data_dir, fresh=fresh)
    assert str(caught.value) == said


def test_a_finished_run_is_shown_at_once_and_trains_nothing(unbroken, quick, data_dir):
    folder, report, output = unbroken
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    again, text = run(quick, folder, data_dir)
    assert again == report
    assert text.splitlines()[0].startswith("Finished earlier")
    assert text.split("With curves")[0].endswith(output.split("Done in")[1].split("With")[0][-300:])
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_finished_run_is_shown_without_tensorflow(unbroken, quick):
    folder, _, _ = unbroken
    code = (
        "import sys; sys.argv = ['kd-keras']\n"
        "import pathlib\n"
        "from kd_keras.recipes import Recipe\n"
        "from kd_keras.experiments import distill\n"
        f"folder = pathlib.Path({str(folder)!r})\n"
        "distill(Recipe.from_json((folder / 'recipe.json').read_text()), folder)\n"
        "print([m for m in ('tensorflow', 'keras', 'matplotlib') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "distilled student" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_another_recipe_in_the_folder_of_a_finished_run_is_refused(unbroken, quick, data_dir):
    folder, report, _ = unbroken
    with pytest.raises(ValueError, match="seed is 3 there and 4 here"):
        run(dataclasses.replace(quick, seed=4), folder, data_dir)
    assert read_report(folder / "report.json") == report


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"student": "resnet9"}, "recipe's `student` cannot be built.*resnet9|depth"),
        ({"teacher": "resnte20"}, "recipe's `teacher` cannot be built"),
        ({"dataset": "digts"}, "digts"),
    ],
)
def test_a_name_that_does_not_exist_is_found_before_anything_is_trained_or_written(
    quick, data_dir, tmp_path, changes, said
):
    with pytest.raises(ValueError, match=said):
        run(dataclasses.replace(quick, **changes), tmp_path / "run", data_dir)
    assert list(tmp_path.iterdir()) == []


def test_fresh_with_a_name_that_does_not_exist_deletes_nothing(quick, data_dir, tmp_path):
    (tmp_path / "recipe.json").write_text(quick.to_json())
    (tmp_path / "teacher.keras").write_text("hours of work")
    with pytest.raises(ValueError, match="`teacher` cannot be built"):
        run(dataclasses.replace(quick, teacher="resnte"), tmp_path, data_dir, fresh=True)
    assert (tmp_path / "teacher.keras").read_text() == "hours of work"


def test_a_training_that_diverges_stops_with_the_remedy_and_leaves_no_network(
    quick, data_dir, tmp_path
):
    # Without a step that is too large for float32 a perceptron merely dies.
    recipe = dataclasses.replace(quick, learning_rate=1e30, policy="none")
    with pytest.raises(kd_keras.NonFiniteLossError) as caught:
        run(recipe, tmp_path, data_dir)
    text = str(caught.value)
    assert "Student mlp8 alone stopped in epoch 1 of 12" in text
    assert "a lower `learning_rate` than 1e+30" in text
    assert {path.name for path in tmp_path.iterdir()} == {
        ".lock",
        "recipe.json",
        "data.json",
        "stages.json",
        "history.csv",
        "teacher.keras",
    }


def test_the_recipe_in_the_folder_makes_the_run_again(unbroken, quick):
    folder, _, _ = unbroken
    assert json.loads((folder / "recipe.json").read_text())["student"] == "mlp8"
    assert type(quick).from_json((folder / "recipe.json").read_text()) == quick
