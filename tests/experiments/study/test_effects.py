"""Which treatments a report sets against each other, from cells that were written by hand."""

import dataclasses
import json

import numpy as np
import pytest

from kd_keras.experiments.study import Study
from kd_keras.experiments.study.folder import open_study
from kd_keras.experiments.study.grid import Cell
from kd_keras.experiments.study.summary import summarise
from kd_keras.recipes import digits

# Right answers of the four seeds' students, of 50.
RIGHT = {
    ("none", "none", ""): (20, 20, 20, 20),
    ("none", "cutmix", ""): (24, 25, 26, 25),
    ("kl", "none", "digits"): (30, 30, 30, 30),
    ("kl", "cutmix", "digits"): (31, 33, 32, 32),
    ("kl", "cutmix+pick", "digits"): (36, 34, 35, 35),
    ("kl", "feedback", "digits"): (40, 40, 42, 42),
    ("kl", "uniform", "digits"): (40, 40, 41, 41),
    ("dist", "none", "digits"): (29, 29, 28, 28),
    ("dist", "cutmix+pick", "digits"): (10, 10, 10, 10),
}


@pytest.fixture(scope="module")
def effects(tmp_path_factory):
    folder = open_study(tmp_path_factory.mktemp("study") / "study", Study(recipe=digits()))
    for treatment, of_seed in RIGHT.items():
        for seed, right in enumerate(of_seed):
            cell = Cell(*treatment, seed)
            path = folder.cell(cell)
            path.mkdir(parents=True)
            labels = (np.arange(50) >= right).astype(int)
            np.savez(path / "predictions.npz", logits=np.tile([1.0, 0.0], (50, 1)), labels=labels)
            result = {
                "cell": dataclasses.asdict(cell),
                "measures": {"accuracy": right / 50},
                "corruption_errors": {},
                "robustness_examples": 0,
                "cost": {"training_seconds": 1.0, "teacher_calls": 0},
                "validation_curve": [0.5],
                "feedback": {},
            }
            (path / "result.json").write_text(json.dumps(result))
    found = summarise(folder, (), {}).effects
    treatments = [dataclasses.astuple(effect.treatment)[:2] for effect in found]
    return {
        (effect.kind, *treatment): round(50 * effect.estimate.mean, 6)
        for effect, treatment in zip(found, treatments, strict=True)
    }


def test_every_effect_is_the_difference_that_its_name_says(effects):
    assert effects == {
        ("distillation", "kl", "none"): 10,
        ("distillation", "kl", "cutmix"): 7,
        ("distillation", "dist", "none"): 8.5,
        ("augmentation", "none", "cutmix"): 5,
        ("augmentation", "kl", "cutmix"): 2,
        ("augmentation", "kl", "cutmix+pick"): 5,
        ("augmentation", "kl", "feedback"): 11,
        ("augmentation", "kl", "uniform"): 10.5,
        ("augmentation", "dist", "cutmix+pick"): -18.5,
        ("interaction", "kl", "cutmix"): 32 - 30 - 25 + 20,
        ("over kl", "dist", "none"): -1.5,
        ("over kl", "dist", "cutmix+pick"): -25,
        ("picking", "kl", "cutmix+pick"): 3,
        ("feedback", "kl", "feedback"): 0.5,
    }
