"""Several teachers of one student, from the command line to the report."""

import dataclasses
import io
import re

import keras
import numpy as np
import pytest
from rich.console import Console

from kd_keras import data, evaluate
from kd_keras.experiments import distill, stages
from kd_keras.experiments.folder import RunFolder
from kd_keras.experiments.stages import (
    Material,
    distiller,
    heard_as_one,
    prepare,
    train_networks,
)
from kd_keras.recipes import Recipe, digits
from kd_keras.recipes.stage import MORE_TEACHERS
from kd_keras.teachers import Ensemble

RECIPE = Recipe(
    dataset="digits",
    teacher="mlp16",
    more_teachers=("mlp8", "mlp8"),
    student="mlp4",
    policy="none",
    teacher_epochs=1,
    epochs=1,
    batch_size=64,
    optimizer="adam",
    teacher_learning_rate=0.01,
    learning_rate=0.01,
    limit=256,
)


def test_the_student_is_taught_by_all_of_them():
    taught = {stage.name: stage.taught_by for stage in RECIPE.stages()}
    teachers = ("teacher", "teacher_2", "teacher_3")
    assert list(taught) == [*teachers, "student_alone", "student"]
    assert taught["student"] == teachers
    assert not any(taught[name] for name in teachers)
    assert RECIPE.title == "mlp16 and mlp8 and mlp8 teach mlp4"
    assert Recipe.from_json(RECIPE.to_json()) == RECIPE
    # A recipe with one teacher is written as it always was.
    added = {"more_teachers", "combine_teachers", "teacher_weights"}
    assert not added & digits().to_dict().keys()


def test_in_a_chain_they_teach_its_first_link():
    chain = dataclasses.replace(RECIPE, assistants=("mlp8",))
    assert chain.stage("assistant_1").taught_by == ("teacher", "teacher_2", "teacher_3")
    assert chain.stage("student").taught_by == ("assistant_1",)
    dense = dataclasses.replace(chain, taught_by="all")
    assert dense.stage("student").taught_by == (
        *chain.stage("assistant_1").taught_by,
        "assistant_1",
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"more_teachers": "resnet20"}, "must be a list of at most 8 networks"),
        ({"more_teachers": ("mlp8",) * 9}, "must be a list of at most 8 networks"),
        ({"more_teachers": ("",)}, "`more_teachers` must"),
        ({"combine_teachers": "vote"}, "`combine_teachers` must"),
        ({"teacher_weights": "confidence"}, "Take combine_teachers='probability'"),
        (
            {"teacher": "mine.keras", "train_teacher": "no"},
            "with the teacher 'mlp8', which begins with random",
        ),
    ],
)
def test_what_cannot_be_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        dataclasses.replace(RECIPE, **changes)


def test_the_command_line_names_them(command):
    several = ("--teacher", "mlp16", "--more-teachers", "mlp8", "mlp4")
    heard = ("--combine-teachers", "probability", "--teacher-weights", "confidence")
    done = command("distill", "digits", *several, *heard, "--print-recipe")
    recipe = Recipe.from_json(done.out)
    assert (recipe.teacher, recipe.more_teachers) == ("mlp16", ("mlp8", "mlp4"))
    assert (recipe.combine_teachers, recipe.teacher_weights) == ("probability", "confidence")


@pytest.fixture(scope="module")
def material(data_dir):
    return Material(RECIPE, data.load("digits", data_dir=data_dir, batch_size=64, limit=256))


@pytest.fixture(scope="module")
def teachers(material):
    return {stage.name: material.build(stage) for stage in RECIPE.stages() if stage.is_teacher}


def test_teachers_of_one_architecture_begin_apart(teachers):
    second, third = (teachers[name].get_weights() for name in MORE_TEACHERS[:2])
    assert any(not np.array_equal(a, b) for a, b in zip(second, third, strict=True))


def loss_of(recipe, material, teachers):
    """The distillation loss of a first step, and the probabilities that it is computed from."""
    material = dataclasses.replace(material, recipe=recipe)
    images, labels = next(iter(material.splits.validation))
    student = material.build(recipe.stage("student"))
    softened = [
        keras.ops.softmax(net(images, training=False) / recipe.temperature)
        for net in (*teachers.values(), student)
    ]
    model = distiller(teachers, student, material)
    model.compile("sgd", material.task.loss())
    logs = model.evaluate(images, labels, verbose=0, return_dict=True)
    return logs["distillation_loss"], np.array(softened)


def kl(p, q):
    return np.mean(np.sum(p * np.log(p / q), axis=-1))


def test_each_is_heard_with_an_equal_share(material, teachers):
    loss, (*taught, student) = loss_of(RECIPE, material, teachers)
    expected = np.mean([kl(teacher, student) for teacher in taught]) * RECIPE.temperature**2
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


def test_as_one_they_are_heard_by_their_mean(material, teachers):
    recipe = dataclasses.replace(RECIPE, combine_teachers="logit")
    loss, (*taught, student) = loss_of(recipe, material, teachers)
    # The mean of logits is that of the logarithms of the probabilities, up to a shift.
    mean = np.exp(np.mean(np.log(taught), axis=0))
    mean /= mean.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(loss, kl(mean, student) * recipe.temperature**2, rtol=1e-4)


def test_weights_by_the_label_are_left_out_where_there_is_none(teachers):
    recipe = dataclasses.replace(RECIPE, combine_teachers="probability", teacher_weights="accuracy")
    assert heard_as_one(teachers, recipe).weights_form == "accuracy"
    assert heard_as_one(teachers, recipe, with_labels=False).weights_form == (1 / 3,) * 3


@pytest.mark.slow
def test_a_run_trains_takes_and_measures_them_all(data_dir, tmp_path):
    """One is trained, one is a file that is taken as it is; a second call finds all done."""
    first = dataclasses.replace(RECIPE, more_teachers=(), epochs=1, teacher_epochs=15)
    distill(
        first, tmp_path / "first", data_dir=data_dir, robustness=False, console=Console(quiet=True)
    )
    file = str(tmp_path / "first" / "teacher.keras")
    recipe = dataclasses.replace(
        RECIPE, more_teachers=(file,), combine_teachers="probability", teacher_weights="accuracy"
    )
    shown = io.StringIO()
    report = distill(
        recipe,
        tmp_path / "run",
        data_dir=data_dir,
        robustness=False,
        console=Console(file=shown, width=200),
    )
    assert "taken as it is" in shown.getvalue()
    assert "Student mlp4 with teachers mlp16 and teacher.keras" in shown.getvalue()
    rows = {row.name: row for row in report.rows}
    assert {"teacher", "teacher 2", "teachers together", "student alone"} < rows.keys()
    together = rows["teachers together"]
    assert together.agreement == 1.0 or together.agreement is None
    assert together.bytes == rows["teacher"].bytes + rows["teacher 2"].bytes
    assert together.parameters == rows["teacher"].parameters + rows["teacher 2"].parameters
    kept, taken = (
        keras.saving.load_model(path, compile=False).get_weights()
        for path in (file, tmp_path / "run" / "teacher_2.keras")
    )
    assert all(map(np.array_equal, kept, taken))
    models = [
        keras.saving.load_model(tmp_path / "run" / f"{name}.keras", compile=False)
        for name in ("teacher", "teacher_2")
    ]
    images, labels = map(
        np.concatenate,
        zip(*data.load("digits", data_dir=data_dir).test.as_numpy_iterator(), strict=True),
    )
    crowd = Ensemble(models)(images)
    right = np.mean(np.argmax(crowd, axis=-1) == labels)
    assert together.accuracy == pytest.approx(right, abs=1e-6)


def test_whoever_teaches_is_calibrated_first(material, tmp_path, monkeypatch):
    """The temperature that is said is the one that the student is taught with."""
    recipe = dataclasses.replace(
        RECIPE, more_teachers=("mlp8",), calibrate_teacher=True, teacher_epochs=3
    )
    shown, taught_by = io.StringIO(), {}

    def watched(teachers, *arguments):
        taught_by.update(teachers)
        return distiller(teachers, *arguments)

    monkeypatch.setattr(stages, "distiller", watched)
    folder = RunFolder(tmp_path, recipe)
    folder.begin()
    train_networks(
        dataclasses.replace(material, recipe=recipe), folder, Console(file=shown, width=200)
    )
    said = dict(
        re.findall(r"(Teacher.*): calibrated by the temperature ([\d.]+)", shown.getvalue())
    )
    assert list(said) == ["Teacher", "Teacher 2"]
    for name, title in (("teacher", "Teacher"), ("teacher_2", "Teacher 2")):
        network = keras.saving.load_model(folder.network(name), compile=False)
        logits, labels = evaluate.predict_logits(network, material.splits.validation)
        temperature = float(said[title])
        assert temperature == pytest.approx(evaluate.fit_temperature(logits, labels), abs=6e-4)
        assert temperature != 1.0
        assert taught_by[name].temperature == temperature


def test_a_label_for_each_pixel_is_not_calibrated(data_dir):
    recipe = Recipe(
        dataset="blobs", teacher="unet8", student="unet4", policy="none", calibrate_teacher=True
    )
    with pytest.raises(ValueError, match="`calibrate_teacher` is for data with one label"):
        prepare(recipe, data_dir)
