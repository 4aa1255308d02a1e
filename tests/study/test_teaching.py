"""What the names of distillation mean: they train our networks, with the published weights."""

import dataclasses
from typing import get_args

import keras
import numpy as np
import pytest

import kd_keras
from kd_keras.recipes import Recipe
from kd_keras.study.grid import Distillation
from kd_keras.study.teaching import teaching

RECIPE = Recipe(dataset="digits", teacher="resnet8x4", student="resnet8x2", epochs=24)
NAMES = [name for name in get_args(Distillation) if name != "none"]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_teaches_a_student_of_ours(name):
    how = teaching(name, RECIPE, steps_per_epoch=10)
    networks = [
        kd_keras.models.from_name(n, input_shape=(8, 8, 1), num_classes=3, seed=0)
        for n in (RECIPE.teacher, RECIPE.student)
    ]
    distiller = kd_keras.Distiller(
        *networks, how.losses, how.weights, how.student_loss_weight, combine=how.combine
    )
    crossentropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Eagerly: to trace all of them takes half a minute.
    distiller.compile("sgd", crossentropy, run_eagerly=True)
    x = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1)).astype("float32")
    logs = distiller.evaluate(x, np.arange(6) % 3, verbose=0, return_dict=True)
    assert np.isfinite(logs["loss"])
    assert logs["distillation_loss"] > 0 or name == "decoupled_kd"  # its weight begins at 0


def test_the_weights_that_were_published_reach_the_loss():
    # Beside 0.1 for the student's loss, and 0.9 for the KL divergence.
    for name, published in (("attention+kl", 1000), ("similarity+kl", 3000), ("hint+kl", 1)):
        how = teaching(name, RECIPE, 10)
        assert (how.combine, how.student_loss_weight) == ("convex", 0.1)
        assert [0.9 * weight for weight in how.weights] == pytest.approx(
            [0.9] + [published] * (len(how.losses) - 1)
        )
    assert 0.9 * teaching("standardized_kl", RECIPE, 10).weights[0] == pytest.approx(9.0)
    assert teaching("dist", RECIPE, 10).combine == "sum"


def test_decoupled_distillation_warms_up_over_a_twelfth_of_the_training():
    (warm_up,) = teaching("decoupled_kd", RECIPE, steps_per_epoch=10).weights
    assert [float(warm_up(step)) for step in (0, 10, 20, 40)] == pytest.approx([0, 0.5, 1, 1])


def test_without_a_kl_divergence_nothing_is_added_to_it():
    labels_alone = dataclasses.replace(RECIPE, student_loss_weight=1.0)
    with pytest.raises(ValueError, match="`student_loss_weight` below 1"):
        teaching("hint+kl", labels_alone, 10)
