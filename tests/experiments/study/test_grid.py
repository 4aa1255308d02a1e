"""Which cells a grid has, and what is refused."""

import dataclasses
import json

import pytest

from kd_keras.experiments.study import Cell, Study
from kd_keras.experiments.study.folder import StudyFolder
from kd_keras.experiments.study.grid import (
    Treatment,
    of_cells,
    policy_of_teacher,
    recipe_of_study,
    shard_of,
    without_distillation,
)
from kd_keras.experiments.study.report import recipe_of
from kd_keras.recipes import digits, distilled_by


def test_a_grid_is_the_product_and_cells_without_a_teacher_stand_there_once():
    study = Study(
        recipe=digits(),
        distillation=("none", "kl"),
        augmentation=("none", "standard"),
        teacher_augmentation=("none", "standard"),
        seeds=2,
    )
    cells = study.cells()
    assert len(set(cells)) == len(cells) == 2 * (2 + 4)
    assert {c.teacher_augmentation for c in cells if c.distillation == "none"} == {""}
    # Seed after seed: an early stop leaves whole grids.
    assert [c.seed for c in cells] == [0] * 6 + [1] * 6


def test_seeds_count_from_the_recipes_own():
    study = Study(recipe=dataclasses.replace(digits(), seed=7), seeds=2)
    assert {cell.seed for cell in study.cells()} == {7, 8}


def test_what_asks_the_teacher_is_left_out_without_one():
    study = Study(recipe=digits(), augmentation=("none", "cutmix+pick", "feedback", "uniform"))
    without = {c.augmentation for c in study.cells() if c.distillation == "none"}
    assert without == {"none", "uniform"}
    assert study.left_out() == ("cutmix+pick", "feedback")
    assert {c.augmentation for c in study.cells()} == {"none", "cutmix+pick", "feedback", "uniform"}


def test_names_are_unique_and_tell_everything():
    cell = Cell("kl", "cutmix+pick", "standard", 3)
    assert cell.name == "kl-cutmix+pick-teacher-standard-seed3"
    study = Study(recipe=digits(), teacher_augmentation=("none", "standard"))
    assert len({c.name for c in study.cells()}) == len(study.cells())


@pytest.mark.parametrize("parts", [1, 2, 3, 5])
def test_shards_are_a_partition(parts):
    cells = Study(recipe=digits()).cells()
    shards = [shard_of(cells, (k, parts)) for k in range(1, parts + 1)]
    assert sorted(cell for shard in shards for cell in shard) == sorted(cells)


@pytest.mark.parametrize("shard", [(0, 2), (3, 2), (1, 0)])
def test_impossible_shards_are_refused(shard):
    with pytest.raises(ValueError, match="`shard` must be k/n"):
        shard_of(Study(recipe=digits()).cells(), shard)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"distillation": ("kld",)}, "`distillation`.*'kl'.*Received: 'kld'"),
        ({"augmentation": ("cutmx",)}, "`augmentation`.*Received: 'cutmx'"),
        ({"augmentation": ("cutmix+picks",)}, "`augmentation`"),
        ({"augmentation": "none"}, "must be a list of names"),
        ({"augmentation": ()}, "must be a list of names"),
        ({"augmentation": ("none", "none")}, "each name once"),
        ({"teacher_augmentation": ("feedback",)}, "`teacher_augmentation`"),
        ({"seeds": 0}, "`seeds`"),
        ({"distillation": ("none",), "augmentation": ("feedback",)}, "no cells"),
    ],
)
def test_bad_values_are_refused_by_name(options, words):
    with pytest.raises(ValueError, match=words):
        Study(recipe=digits(), **options)


def test_the_shared_recipe_survives_json_and_ignores_the_policy():
    study = Study(recipe=digits())
    recipe = recipe_of_study(study.to_json())
    assert recipe == dataclasses.replace(digits(), policy="none")


@pytest.mark.parametrize("text", ["", "{}", '{"kd_keras_study": 99}', "[1]", "null"])
def test_text_that_is_no_study_is_refused(text):
    with pytest.raises(ValueError, match="no study"):
        recipe_of_study(text)


@pytest.mark.parametrize("word", ["../../outside", "..", "/outside", "C:\\outside", "a\0", 3, None])
@pytest.mark.parametrize("field", ["distillation", "augmentation", "teacher_augmentation"])
def test_a_cell_whose_name_leads_out_of_the_study_is_refused(tmp_path, field, word):
    fields = {"distillation": "kl", "augmentation": "cutmix", "teacher_augmentation": "none"}
    folder = tmp_path / "cells" / "kl-cutmix-teacher-none-seed0"
    folder.mkdir(parents=True)
    result = {"cell": {**fields, field: word, "seed": 0}}
    (folder / "result.json").write_text(json.dumps(result))
    with pytest.raises(ValueError, match="named by words of letters.*delete that"):
        StudyFolder(tmp_path, digits()).finished()


def test_the_recipe_of_a_treatment_distils_as_its_cells_do():
    shared = recipe_of_study(Study(recipe=digits()).to_json())
    for distillation, policy, picks in (("kl", "cutmix", True), ("dist", "feedback", False)):
        treatment = Treatment(distillation, f"{policy}+pick" if picks else policy, "standard")
        recipe = recipe_of(treatment, shared)
        cell = Cell(distillation, treatment.augmentation, "standard", shared.seed)
        assert recipe.stage("student") == cell.recipe(shared).stage("student")
        assert recipe.losses == distilled_by(shared, distillation).losses
        assert (recipe.policy, recipe.pick, recipe.teacher_policy) == (policy, picks, "standard")


def test_a_study_shares_nothing_that_its_cells_say():
    changed = dataclasses.replace(
        digits(), policy="cutmix", pick=True, losses=("DIST",), combine="sum", warm_up=0.5
    )
    assert Study(recipe=changed).to_json() == Study(recipe=digits()).to_json()
    assert of_cells(changed, digits()) == ["policy", "pick", "losses", "combine", "warm_up"]


def test_a_study_of_a_recipe_begins_with_its_policies_and_refuses_its_losses():
    recipe = dataclasses.replace(digits(), policy="feedback", losses=("DIST",), combine="sum")
    assert policy_of_teacher(recipe) == "standard"
    assert policy_of_teacher(dataclasses.replace(recipe, teacher_policy="cutmix")) == "cutmix"
    assert of_cells(recipe, without_distillation(recipe)) == ["losses", "combine"]
    assert of_cells(digits(), without_distillation(digits())) == []
