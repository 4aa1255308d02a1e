"""What a run on data of the user's own begins with, by what lies there."""

import pytest

from kd_keras.cli import command_line
from kd_keras.recipes import NAMED, recipe_for


@pytest.mark.parametrize(
    ("files", "like"),
    [
        (["fine/a.txt", "poor/b.txt"], "sst2"),
        (["README.txt", "cats/a.jpg", "dogs/b.jpg"], None),
        (["train/fine/a.txt", "train/.hidden/x.jpg"], "sst2"),
        (["yes/a.wav", "no/b.wav"], "spoken_digit"),
        (["image/a.png", "label/a.png"], "membrane"),
        (["image/a.png", "photo/a.png"], None),
        ([], None),
    ],
)
def test_a_folder_begins_with_the_recipe_of_its_kind(files, like, tmp_path):
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    recipe = recipe_for(str(tmp_path))
    assert recipe.dataset == str(tmp_path)
    expected = ("resnet20", "resnet8") if like is None else networks(NAMED[like]())
    assert networks(recipe) == expected


def networks(recipe):
    return recipe.teacher, recipe.student


@pytest.mark.parametrize("name", NAMED)
def test_the_data_of_a_named_recipe_are_that_recipe(name):
    assert recipe_for(NAMED[name]().dataset) == NAMED[name]()


@pytest.mark.parametrize(("name", "like"), [("opinions", "sst2"), ("blobs", "membrane")])
def test_generated_data_begin_as_what_they_stand_for(name, like):
    recipe = recipe_for(name)
    assert networks(recipe) == networks(NAMED[like]())
    assert recipe.dataset == name
    # Of few examples an epoch has few steps.
    assert min(recipe.epochs, recipe.teacher_epochs) >= 10 and recipe.batch_size <= 64


def test_the_command_line_begins_so_and_options_change_it():
    job = command_line._parsed(["distill", "./reviews.csv", "--epochs", "3"])
    assert networks(job.recipe) == networks(NAMED["sst2"]())
    assert (job.recipe.dataset, job.recipe.epochs, job.name) == ("./reviews.csv", 3, "reviews.csv")
