"""`Recipe`: what it refuses, and that JSON gives it back."""

import dataclasses
import json
from typing import get_args

import numpy as np
import pytest

from kd_keras import augment
from kd_keras.recipes import NAMED, Recipe, digits
from kd_keras.recipes.recipe import PolicyName


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("dataset", "", "must be a name such as 'digits'"),
        ("teacher", None, "must be a name such as 'resnet20'"),
        ("student", 8, "must be a name such as 'resnet8'"),
        ("policy", "standrad", "must be one of 'none', 'digits', 'standard'"),
        ("temperature", 0, "a finite number in [0.001, 1000]"),
        ("temperature", -1.0, "a finite number in [0.001, 1000]"),
        ("temperature", float("nan"), "a finite number"),
        ("temperature", float("inf"), "a finite number"),
        ("temperature", "4", "a finite number"),
        ("temperature", True, "a finite number"),
        ("student_loss_weight", -0.1, "in [0, 1]"),
        ("student_loss_weight", 1.1, "0 learns from the teacher alone"),
        ("teacher_epochs", 0, "an integer >= 1"),
        ("epochs", 0, "an integer >= 1"),
        ("epochs", 2.5, "an integer >= 1"),
        ("epochs", True, "an integer >= 1"),
        ("batch_size", 0, "an integer >= 1"),
        ("optimizer", "lion", "must be one of 'sgd', 'adam'"),
        ("teacher_learning_rate", 0, "Try 0.1 with sgd"),
        ("learning_rate", -0.1, "Try 0.1 with sgd"),
        ("weight_decay", -1e-4, "Common values are 0"),
        ("weight_decay", 1, "in [0, 0.999]"),
        ("seed", -1, "an integer >= 0"),
        ("limit", 0, "an integer >= 1"),
        ("image_size", 0, "an integer >= 1"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name_with_what_was_received(field, value, said):
    with pytest.raises(ValueError) as caught:
        dataclasses.replace(digits(), **{field: value})
    assert f"`{field}`" in str(caught.value)
    assert f"Received: {field}={value!r}" in str(caught.value)
    assert said in str(caught.value)


def test_the_ends_of_the_ranges_are_taken():
    recipe = dataclasses.replace(
        digits(), student_loss_weight=0, weight_decay=0, epochs=1, seed=0, temperature=0.01
    )
    assert dataclasses.replace(recipe, student_loss_weight=1).student_loss_weight == 1


def test_the_policies_of_recipes_are_those_of_the_augment_room():
    assert get_args(PolicyName) == augment.policy_names()


@pytest.mark.parametrize("name", NAMED)
def test_json_gives_the_recipe_back(name):
    recipe = NAMED[name]()
    assert Recipe.from_json(recipe.to_json()) == recipe
    changed = dataclasses.replace(recipe, limit=7, temperature=2.5, optimizer="adam")
    assert Recipe.from_json(changed.to_json()) == changed != recipe


def test_numpy_numbers_become_plain_ones_that_json_knows():
    recipe = dataclasses.replace(
        digits(),
        limit=np.int64(5),
        seed=np.uint8(3),
        temperature=np.float32(4),
        weight_decay=np.float64(0.25),
    )
    assert [type(value) for value in (recipe.limit, recipe.seed)] == [int, int]
    assert [type(value) for value in (recipe.temperature, recipe.weight_decay)] == [float, float]
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_json_with_an_unknown_field_is_refused_with_the_nearest_one():
    fields = {**json.loads(digits().to_json()), "epoch": 3}
    with pytest.raises(ValueError, match=r"no field 'epoch'.*epoch=3.*'epochs'"):
        Recipe.from_json(json.dumps(fields))


def test_json_with_a_value_out_of_range_is_refused():
    fields = {**json.loads(digits().to_json()), "temperature": 0}
    with pytest.raises(ValueError, match="`temperature`"):
        Recipe.from_json(json.dumps(fields))


def test_json_without_a_needed_field_is_refused():
    fields = json.loads(digits().to_json())
    del fields["student"]
    with pytest.raises(ValueError, match=r"needs the fields \['student'\]"):
        Recipe.from_json(json.dumps(fields))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"dataset": "digits"}'])
def test_text_that_is_no_recipe_is_refused(text):
    with pytest.raises(ValueError, match="A recipe must be"):
        Recipe.from_json(text)


def test_json_of_another_format_is_refused():
    fields = {**json.loads(digits().to_json()), "kd_keras_recipe": 2}
    with pytest.raises(ValueError, match='"kd_keras_recipe": 1'):
        Recipe.from_json(json.dumps(fields))
    assert Recipe.is_recipe(fields)


def test_smoke_lowers_sizes_and_changes_nothing_else():
    recipe = digits()
    assert recipe.differences(recipe.smoke()).keys() <= {
        "teacher_epochs",
        "epochs",
        "limit",
        "batch_size",
    }
    small = dataclasses.replace(recipe, epochs=1, teacher_epochs=1, limit=8, batch_size=4)
    assert small.smoke() == small
    assert (recipe.smoke().epochs, recipe.smoke().limit) == (2, 256)


def test_differences_are_by_field_with_both_values():
    recipe = digits()
    other = dataclasses.replace(recipe, temperature=9.0, limit=5)
    assert recipe.differences(other) == {
        "temperature": (recipe.temperature, 9.0),
        "limit": (None, 5),
    }


def test_a_recipe_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        digits().epochs = 3


def test_a_recipe_of_an_earlier_version_is_read_as_what_it_was():
    # The text that kd_keras 0.1.0 wrote, before losses, schedule and own networks were fields.
    earlier = {
        "kd_keras_recipe": 1,
        "dataset": "digits",
        "teacher": "resnet20",
        "student": "resnet8x4",
        "policy": "digits",
        "temperature": 4.0,
        "student_loss_weight": 0.1,
        "teacher_epochs": 20,
        "epochs": 10,
        "batch_size": 64,
        "optimizer": "sgd",
        "teacher_learning_rate": 0.1,
        "learning_rate": 0.1,
        "weight_decay": 0.0005,
        "seed": 0,
        "limit": None,
        "image_size": None,
    }
    assert Recipe.from_json(json.dumps(earlier)) == digits()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"losses": "DIST"}, "`losses` must be a list"),
        ({"losses": ()}, "at least one loss"),
        ({"combine": "mean"}, "`combine` must be one of"),
        ({"schedule": "step"}, "`schedule` must be one of"),
        ({"keep": "first"}, "`keep` must be one of"),
        ({"train_teacher": True}, "`train_teacher` must be one of"),
        ({"train_teacher": "no"}, "networks of your own.*Leave it out"),
        ({"teacher_policy": "feedback"}, "`teacher_policy` must be one of"),
        ({"pick": 1}, "`pick` must be True or False"),
        ({"pick": True, "policy": "feedback"}, "a fixed policy"),
        ({"warm_up": 1.5}, "`warm_up`"),
        ({"momentum": 1}, "`momentum`"),
        ({"teacher_value_range": (1, 0)}, "`teacher_value_range` must be"),
        ({"student_value_range": 255}, "`student_value_range` must be"),
    ],
)
def test_what_decides_the_distillation_is_checked(changes, said):
    with pytest.raises(ValueError, match=said):
        dataclasses.replace(digits(), **changes)


def test_the_stages_say_what_is_trained_with_what():
    recipe = dataclasses.replace(
        digits(), teacher="a/b/my.keras", policy="cutmix", pick=True, teacher_policy="standard"
    )
    teacher, alone, student = recipe.stages()
    assert (teacher.name, teacher.policy, teacher.epochs) == ("teacher", "standard", 20)
    assert teacher.title == "Teacher my.keras"
    assert dataclasses.replace(alone, name="student", taught_by=("teacher",)) == student
    assert (alone.is_taught, student.is_taught) == (False, True)
    assert recipe.portable().teacher == "a/b/my.keras"
    assert dataclasses.replace(recipe, teacher="/home/me/my.keras").portable().teacher == "my.keras"
