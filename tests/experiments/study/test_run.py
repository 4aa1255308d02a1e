"""A study through its front door: what it leaves, and that pieces make the whole."""

import csv
import dataclasses
import functools
import io
import json
import shutil

import numpy as np
import pytest
from rich.console import Console

from kd_keras.experiments.study import Study, hierarchical_bootstrap, interaction, run_study
from tests import processes
from tests.processes import Process


def run(study, folder, data_dir, **options):
    output = io.StringIO()
    summary = run_study(
        study,
        folder,
        data_dir=data_dir,
        robustness_examples=0,
        console=Console(file=output, width=80),
        **options,
    )
    return summary, output.getvalue()


def logits(folder, cell):
    with np.load(folder / "cells" / cell.name / "predictions.npz") as arrays:
        return arrays["logits"], arrays["labels"]


def correct(folder, name, seeds=(3, 4)):
    rows = []
    for seed in seeds:
        with np.load(folder / "cells" / f"{name}-seed{seed}" / "predictions.npz") as arrays:
            rows.append(arrays["logits"].argmax(-1) == arrays["labels"])
    return np.stack(rows).astype(float)


@pytest.mark.slow
def test_every_cell_has_its_predictions_and_its_result(finished, study):
    folder, summary, _ = finished
    for cell in study.cells():
        scores, labels = logits(folder, cell)
        result = json.loads((folder / "cells" / cell.name / "result.json").read_text())
        assert result["cell"] == dataclasses.asdict(cell)
        assert scores.shape == (300, 10)
        assert result["measures"]["accuracy"] == pytest.approx((scores.argmax(-1) == labels).mean())
        assert len(result["validation_curve"]) == study.recipe.epochs
    assert summary.missing == ()


@pytest.mark.slow
def test_students_learn(finished):
    _, summary, _ = finished
    for row in summary.treatments:
        assert row.measures["accuracy"].mean > 0.5, row.treatment


@pytest.mark.slow
def test_the_means_and_the_interaction_are_those_of_the_stored_answers(finished):
    folder, summary, _ = finished
    cells = {
        "both": correct(folder, "kl-digits-teacher-digits"),
        "first": correct(folder, "kl-none-teacher-digits"),
        "second": correct(folder, "none-digits"),
        "neither": correct(folder, "none-none"),
    }
    means = {row.treatment.title: row.accuracy.mean for row in summary.treatments}
    assert means["kl (teacher: digits), digits"] == pytest.approx(cells["both"].mean())
    assert means["none, none"] == pytest.approx(cells["neither"].mean())
    (found,) = [effect for effect in summary.effects if effect.kind == "interaction"]
    assert found.estimate == hierarchical_bootstrap(interaction(**cells))


@pytest.mark.slow
def test_costs_are_counted(finished, study):
    _, summary, _ = finished
    epochs, batch = study.recipe.epochs, study.recipe.batch_size
    for row in summary.treatments:
        calls = row.cost["teacher_calls"]
        if row.treatment.distillation == "none":
            assert calls == 0
        else:
            assert calls % (epochs * batch) == 0 and 1000 < calls / epochs < 1500
        assert row.cost["training_seconds"] > 0


@pytest.mark.slow
def test_the_files_say_what_the_summary_says(finished):
    folder, summary, output = finished
    data = json.loads((folder / "study_report.json").read_text())
    assert data["commands"] == ["kd-keras study again"]
    rows = list(csv.DictReader((folder / "study_report.csv").open()))
    assert len(rows) == len(summary.treatments) == 4
    for row, treatment in zip(rows, summary.treatments, strict=True):
        assert float(row["accuracy_mean"]) == treatment.measures["accuracy"].mean
        assert float(row["accuracy_sd"]) == treatment.measures["accuracy"].deviation
    assert "kd-keras distill --recipe" in output
    assert "interaction" in output and "±" in output


@pytest.mark.slow
def test_a_finished_study_is_only_reported(finished, study, data_dir):
    folder, summary, _ = finished
    before = {path: path.stat().st_mtime_ns for path in folder.glob("cells/*/*")}
    again, output = run(study, folder, data_dir, command="kd-keras study again")
    assert {path: path.stat().st_mtime_ns for path in folder.glob("cells/*/*")} == before
    assert again == summary
    assert "4 of them finished" not in output and "8 of them finished earlier" in output


@pytest.mark.slow
def test_shards_together_are_the_whole_study(finished, study, data_dir, tmp_path):
    whole, _, _ = finished
    study = dataclasses.replace(study, augmentation=("none",), seeds=1)
    parts = [tmp_path / "one", tmp_path / "two"]
    first, _ = run(study, parts[0], data_dir, shard=(1, 2))
    assert len(first.treatments) == 1
    run(study, parts[1], data_dir, shard=(2, 2))
    for path in (parts[1] / "cells").iterdir():
        path.rename(parts[0] / "cells" / path.name)
    together, _ = run(study, parts[0], data_dir, report_only=True)
    assert together.missing == ()
    assert len(together.treatments) == 2
    for cell in study.cells():
        np.testing.assert_array_equal(logits(parts[0], cell)[0], logits(whole, cell)[0])


@pytest.mark.slow
def test_a_second_grid_shares_folder_teacher_and_cells(finished, study, data_dir, tmp_path):
    """The adaptive augmentations, in a folder that has the plain ones."""
    folder = tmp_path / "study"
    shutil.copytree(finished[0], folder)
    teacher = (folder / "teachers" / "digits" / "teacher.keras").stat().st_mtime_ns
    grid = Study(
        recipe=study.recipe,
        augmentation=("uniform", "feedback", "cutmix+pick"),
        teacher_augmentation=("digits",),
        seeds=1,
    )
    summary, output = run(grid, folder, data_dir, command="kd-keras study more")
    assert (folder / "teachers" / "digits" / "teacher.keras").stat().st_mtime_ns == teacher
    assert len(summary.treatments) == 8
    assert summary.commands == ["kd-keras study again", "kd-keras study more"]
    assert "Left out: feedback" in output and "Left out: cutmix+pick" in output
    rows = {row.treatment.title: row for row in summary.treatments}
    feedback = rows["kl (teacher: digits), feedback"]
    uniform = rows["kl (teacher: digits), uniform"]
    assert feedback.cost["teacher_calls"] == uniform.cost["teacher_calls"]
    assert rows["kl (teacher: digits), cutmix+pick"].cost["teacher_calls"] == (
        2 * feedback.cost["teacher_calls"]
    )
    even = 1 / len(uniform.feedback)
    assert all(
        value == pytest.approx(even) for values in uniform.feedback.values() for value in values
    )
    assert max(values[-1] for values in feedback.feedback.values()) > 1.1 * even
    for total in np.sum(list(feedback.feedback.values()), axis=0):
        assert total == pytest.approx(1.0, abs=1e-5)


@pytest.mark.slow
def test_teachers_of_an_earlier_study_teach_other_students(finished, study, data_dir, tmp_path):
    longer = dataclasses.replace(
        study, recipe=dataclasses.replace(study.recipe, epochs=7), seeds=1, distillation=("kl",)
    )
    folder = tmp_path / "study"
    summary, output = run(longer, folder, data_dir, teachers=finished[0])
    assert "Teacher" not in output and len(summary.treatments) == 2
    name = "teachers/digits/teacher.keras"
    assert (folder / name).read_bytes() == (finished[0] / name).read_bytes()
    assert (folder / "data.json").read_bytes() == (finished[0] / "data.json").read_bytes()
    other = dataclasses.replace(study.recipe, teacher_epochs=9)
    with pytest.raises(ValueError, match="teacher_epochs is 8 there and 9 here"):
        run(dataclasses.replace(study, recipe=other), tmp_path / "b", data_dir, teachers=folder)
    untaught = dataclasses.replace(study, teacher_augmentation=("standard",))
    with pytest.raises(ValueError, match="no trained teacher on 'standard'.*Finish that study"):
        run(untaught, tmp_path / "c", data_dir, teachers=folder)
    with pytest.raises(ValueError, match="holds no study"):
        run(study, tmp_path / "d", data_dir, teachers=tmp_path / "nowhere")


@pytest.mark.slow
def test_a_student_that_diverges_leaves_the_others_alone(
    finished, study, data_dir, tmp_path, monkeypatch
):
    from kd_keras.recipes import distillation

    hint = "Hint(teacher_layer_name='features', student_layer_name='features')"
    monkeypatch.setitem(distillation._ADDED, "hint", (1e30, (hint,)))
    grid = dataclasses.replace(
        study, distillation=("hint+kl", "logits_mse"), augmentation=("none",), seeds=1
    )
    summary, output = run(grid, tmp_path / "study", data_dir, teachers=finished[0])
    words = " ".join(output.split())
    assert "Without a result, and the study goes on. hint+kl-none" in words
    assert "The loss or its gradient is not finite" in words
    assert [row.treatment.distillation for row in summary.treatments] == ["logits_mse"]
    assert summary.missing == ("hint+kl-none-teacher-digits-seed3",)


@pytest.mark.slow
def test_another_recipe_is_refused_and_nothing_is_touched(finished, study, data_dir):
    other = dataclasses.replace(study, recipe=dataclasses.replace(study.recipe, epochs=9))
    with pytest.raises(ValueError, match="epochs is 6 there and 9 here"):
        run(other, finished[0], data_dir)


def test_a_folder_of_something_else_is_refused(study, data_dir, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match=r"holds no study.*thesis\.tex"):
        run(study, tmp_path, data_dir)
    assert {path.name for path in tmp_path.iterdir()} == {"thesis.tex"}


def test_a_report_on_nothing_is_refused(study, data_dir, tmp_path):
    with pytest.raises(ValueError, match="No cell of the study"):
        run(study, tmp_path / "study", data_dir, report_only=True)


@pytest.mark.slow
def test_a_killed_study_goes_on_and_ends_as_an_unbroken_one(finished, quick, data_dir, tmp_path):
    """Kill -9 again and again, in the middle of teachers and cells, two processes at a time."""
    whole, _, _ = finished
    folder = tmp_path / "study"
    code = (
        "import sys\n"
        "from kd_keras.recipes import Recipe\n"
        "from kd_keras.experiments.study import Study, run_study\n"
        "recipe = Recipe.from_json(sys.argv[1])\n"
        "study = Study(recipe=recipe, augmentation=('none', 'digits'),\n"
        "              teacher_augmentation=('digits',), seeds=1)\n"
        "run_study(study, sys.argv[2], data_dir=sys.argv[3], robustness_examples=0)"
    )
    arguments = (code, quick.to_json(), folder, data_dir)
    cells = sorted((whole / "cells").glob("*-seed3"))

    def all_begun(places):
        return all(any(folder.glob(f"{place}/history.csv")) for place in places)

    # An epoch of a cell or of the teacher is over, and then one of each.
    for places in (("*/*",), ("cells/*", "teachers/*")):
        pair = [Process(*arguments) for _ in range(2)]
        pair[0].wait_for(functools.partial(all_begun, places))
        for process in pair:
            process.kill()
        assert len(list(folder.glob("cells/*/predictions.npz"))) < len(cells)
    processes.run(*arguments)
    for path in cells:
        other = folder / "cells" / path.name / "predictions.npz"
        with np.load(path / "predictions.npz") as mine, np.load(other) as theirs:
            np.testing.assert_array_equal(mine["logits"], theirs["logits"])
