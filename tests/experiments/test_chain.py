"""A chain of teachers: who teaches each link, and that a killed run ends as an unbroken one."""

import dataclasses
import json
import os
import shutil

import keras
import numpy as np
import pytest
from rich.console import Console

from kd_keras import data
from kd_keras.experiments.folder import RunFolder
from kd_keras.experiments.stages import Material, distiller, train_networks
from kd_keras.recipes import Recipe, digits
from kd_keras.recipes.stage import NETWORKS
from kd_keras.report import Report, ResultRow
from kd_keras.report.sections import chain


def test_stages_say_who_is_taught_by_whom():
    recipe = dataclasses.replace(digits(), assistants=("resnet14", "resnet20"))
    taught = {stage.name: stage.taught_by for stage in recipe.stages()}
    assert list(taught) == ["teacher", "assistant_1", "assistant_2", "student_alone", "student"]
    assert taught == {
        "teacher": (),
        "assistant_1": ("teacher",),
        "assistant_2": ("assistant_1",),
        "student_alone": (),
        "student": ("assistant_2",),
    }
    dense = dataclasses.replace(recipe, taught_by="all")
    taught = {stage.name: stage.taught_by for stage in dense.stages()}
    assert taught["assistant_2"] == ("teacher", "assistant_1")
    assert taught["student"] == ("teacher", "assistant_1", "assistant_2")
    assert Recipe.from_json(dense.to_json()) == dense
    # A recipe without a chain is written as it always was.
    assert not {"assistants", "taught_by"} & json.loads(digits().to_json()).keys()


@pytest.mark.parametrize(
    ("assistants", "said"),
    [
        ("resnet20", r"must be a list of at most 9 architectures"),
        (("resnet8",) * 10, r"must be a list of at most 9 architectures"),
        (("my.keras",), r"must be architectures by name"),
        (("",), r"`assistants` must"),
    ],
)
def test_assistants_that_cannot_be_are_refused(assistants, said):
    with pytest.raises(ValueError, match=said):
        dataclasses.replace(digits(), assistants=assistants)


def test_the_command_line_makes_a_chain(command):
    done = command("distill", "digits", "--stages", "resnet20,resnet14,resnet8", "--print-recipe")
    recipe = Recipe.from_json(done.out)
    assert (recipe.teacher, recipe.assistants, recipe.student) == (
        "resnet20",
        ("resnet14",),
        "resnet8",
    )
    arguments = ("distill", "digits", "--print-recipe", "--stages")
    done = command(*arguments, "resnet20")
    assert done.code != 0
    assert "chain of two networks or more" in " ".join(done.err.split())
    done = command(*arguments, "resnet20,resnet8", "--teacher", "resnet32")
    assert done.code != 0
    assert "Received: --teacher beside it" in " ".join(done.err.split())


def test_the_report_tells_what_each_link_gained():
    accuracies = {
        "teacher": 0.9,
        "assistant 1": 0.85,
        "student alone": 0.6,
        "distilled student": 0.7,
    }
    report = Report(
        title="",
        command="",
        recipe={"teacher": "mlp16", "assistants": ["mlp8"], "student": "mlp4"},
        rows=[ResultRow(name, accuracy) for name, accuracy in accuracies.items()],
    )
    assert [row[1:] for row in chain.section(report).table.rows] == [
        ("teacher", "85.00 %", "-5.00", "\N{EN DASH}"),
        ("assistant 1", "70.00 %", "-15.00", "+10.00"),
    ]
    dense = dataclasses.replace(report, recipe={**report.recipe, "taught_by": "all"})
    assert chain.section(dense).table.rows[1][1] == "teacher, assistant 1"
    assert chain.section(dataclasses.replace(report, recipe={"teacher": "mlp16"})) is None


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """Born-again generations, all of them taught by all before."""
    recipe = Recipe(
        dataset="digits",
        teacher="mlp4",
        student="mlp4",
        assistants=("mlp4",),
        taught_by="all",
        policy="none",
        teacher_epochs=1,
        epochs=2,
        batch_size=64,
        optimizer="adam",
        learning_rate=0.02,
        limit=256,
    )
    folder = tmp_path_factory.mktemp("data")
    return Material(recipe, data.load("digits", data_dir=folder, batch_size=64, limit=256))


def trained(material, path):
    path.mkdir(exist_ok=True)
    folder = RunFolder(path, material.recipe)
    folder.begin()
    train_networks(material, folder, Console(quiet=True))
    return {
        name: keras.models.load_model(folder.network(name)).get_weights()
        for name in NETWORKS
        if folder.network(name).exists()
    }


@pytest.mark.slow
def test_a_chain_that_dies_within_and_between_links_ends_as_the_unbroken_one(
    material, tmp_path, monkeypatch
):
    """Begun anew from what its folder held after each file that it wrote of a link."""
    replace, count = os.replace, 0
    whole = tmp_path / "whole"

    def watched(source, target):
        nonlocal count
        replace(source, target)
        count += 1
        names = ("checkpoint_assistant_1.npz", "assistant_1.keras", "checkpoint_student.npz")
        dead = tmp_path / os.path.basename(target)
        if dead.name in names and not dead.exists():
            shutil.copytree(whole, dead)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", watched)
        expected = trained(material, whole)
    assert list(expected) == ["teacher", "assistant_1", "student_alone", "student"]
    deaths = [path for path in tmp_path.iterdir() if path != whole]
    assert len(deaths) == 3
    for folder in deaths:
        assert not (folder / "student.keras").exists()
        for name, weights in trained(material, folder).items():
            for found, value in zip(weights, expected[name], strict=True):
                np.testing.assert_array_equal(found, value)


def test_generations_begin_apart_and_several_teachers_share_the_weight(material):
    built = {stage.name: material.build(stage) for stage in material.recipe.stages()}
    first = {name: network.get_weights()[0] for name, network in built.items()}
    assert np.array_equal(first["teacher"], first["student_alone"])
    assert np.array_equal(first["student"], first["student_alone"])
    assert not np.array_equal(first["assistant_1"], first["teacher"])
    teachers = {name: built[name] for name in ("teacher", "assistant_1")}
    model = distiller(teachers, built["student"], material)
    assert model.distillation_loss_weights == {"teacher": [0.5], "assistant_1": [0.5]}


def test_a_link_of_another_teacher_is_trained_again(material, tmp_path):
    """What a stage was made from is noted: the student is of this teacher and this assistant."""
    folder = RunFolder(tmp_path, material.recipe)
    folder.begin()
    for name, by in (("teacher", ()), ("assistant_1", ("teacher",))):
        (tmp_path / f"{name}.keras").write_text(name)
        folder.note(name, [f"{name}.keras"])
        assert set(folder.record.stages()[name].made_from) == set(by)
    assert folder.is_done("assistant_1")
    (tmp_path / "teacher.keras").write_text("another")
    folder.note("teacher", ["teacher.keras"])
    assert not folder.is_done("assistant_1")
