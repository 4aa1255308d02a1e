"""Ways to distil that have a name: they train our networks, with the published weights."""

import dataclasses
from typing import get_args

import keras
import numpy as np
import pytest

from kd_keras import data, losses
from kd_keras.experiments.stages import Material, distiller
from kd_keras.recipes import Recipe, distilled_by
from kd_keras.recipes.distillation import Distillation
from kd_keras.recipes.stage import STUDENT, TEACHER
from kd_keras.recipes.term import LOSSES, Term

RECIPE = Recipe(
    dataset="digits", teacher="resnet8x4", student="resnet8x2", policy="none", epochs=24
)


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    return data.load("digits", data_dir=tmp_path_factory.mktemp("data"), batch_size=6, limit=60)


def _distiller(recipe, splits):
    material = Material(recipe, splits)
    teacher, student = (material.build(recipe.stage(name)) for name in (TEACHER, STUDENT))
    return distiller({TEACHER: teacher}, student, material)


@pytest.mark.parametrize("name", get_args(Distillation))
def test_every_name_teaches_a_student_of_ours(name, splits):
    model = _distiller(distilled_by(RECIPE, name), splits)
    crossentropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Eagerly: to trace all of them takes half a minute.
    model.compile("sgd", crossentropy, run_eagerly=True)
    logs = model.evaluate(splits.test.take(1), verbose=0, return_dict=True)
    assert np.isfinite(logs["loss"])
    assert logs["distillation_loss"] > 0 or name == "decoupled_kd"  # its weight begins at 0


def test_the_weights_that_were_published_reach_the_loss():
    # Beside 0.1 for the student's loss, and 0.9 for the KL divergence.
    for name, published in (("attention+kl", 1000), ("similarity+kl", 3000), ("hint+kl", 1)):
        recipe = distilled_by(RECIPE, name)
        assert (recipe.combine, recipe.student_loss_weight) == ("convex", 0.1)
        first, *added = [0.9 * term.weight for term in recipe.terms()]
        assert first == pytest.approx(0.9)
        assert added == pytest.approx([published] * len(added))
    (term,) = distilled_by(RECIPE, "standardized_kl").terms()
    assert 0.9 * term.weight == pytest.approx(9.0)
    assert distilled_by(RECIPE, "dist").combine == "sum"


def test_decoupled_distillation_warms_up_over_a_twelfth_of_the_training(splits):
    recipe = distilled_by(RECIPE, "decoupled_kd")
    assert recipe.warm_up * recipe.epochs == 2
    (warm_up,) = _distiller(recipe, splits).distillation_loss_weights
    steps = 2 * splits.steps_per_epoch
    rise = [float(warm_up(step)) for step in (0, steps // 2, steps, 2 * steps)]
    assert rise == pytest.approx([0, 0.5, 1, 1])


def test_without_a_kl_divergence_nothing_is_added_to_it():
    labels_alone = dataclasses.replace(RECIPE, student_loss_weight=1.0)
    with pytest.raises(ValueError, match="`student_loss_weight` below 1"):
        distilled_by(labels_alone, "hint+kl")
    with pytest.raises(ValueError, match="`distillation` must be one of"):
        distilled_by(RECIPE, "hints")


def test_every_loss_of_the_package_can_be_written_in_a_recipe():
    bases = {losses.Loss, losses.LogitLoss, losses.TrainableLoss, losses.FeatureLoss}
    bases |= {losses.AdaptedLoss, losses.FeatureMapLoss, losses.RelationLoss}
    classes = {name for name in losses.__all__ if isinstance(getattr(losses, name), type)}
    of_recipes = classes - {base.__name__ for base in bases}
    assert set(LOSSES) == of_recipes - {"ContrastiveRepresentation"}
    with pytest.raises(ValueError, match="needs the number of each example.*kd_keras.Distiller"):
        Term.parse("ContrastiveRepresentation(samples=60)")


def test_the_recipes_temperature_is_that_of_softened_logits_which_state_none():
    assert Term.parse("KLDivergence").build(3.0).temperature == 3.0
    assert Term.parse("KLDivergence(2.0)").build(3.0).temperature == 2.0
    assert Term.parse("DecoupledKD(alpha=1.0)").build(3.0).temperature == 3.0
    contrast = "InBatchContrast(teacher_layer_name='features', student_layer_name='features')"
    usual = losses.InBatchContrast(teacher_layer_name="features", student_layer_name="features")
    assert Term.parse(contrast).build(3.0).temperature == usual.temperature != 3.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("KLDivergnce", "Did you mean 'KLDivergence'?"),
        ("-1 * DIST", "a finite number >= 0"),
        ("inf * DIST", "cannot be read"),
        ("DIST(beta=__import__('os'))", "cannot be read"),
        ("(lambda: DIST)()", "cannot be read"),
        ("DIST(**{'beta': 1})", "cannot be read"),
        ("(" * 5000, "cannot be read"),
        (3, "must hold texts"),
    ],
)
def test_a_text_that_is_no_loss_is_refused(text, said):
    with pytest.raises(ValueError, match="`losses`|weight before a loss") as caught:
        dataclasses.replace(RECIPE, losses=(text,))
    assert said in str(caught.value)


def test_arguments_that_a_loss_does_not_take_are_refused_with_those_that_it_does():
    with pytest.raises(ValueError, match=r"DIST that cannot be made.*Its arguments: temperature"):
        Term.parse("DIST(gama=2.0)").build(4.0)
