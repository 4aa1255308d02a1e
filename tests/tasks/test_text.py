"""Texts from data to a file by the command line, and what is asked of the task on the way."""

import dataclasses
import json
from typing import get_args

import numpy as np
import pytest

from kd_keras import data, evaluate, export
from kd_keras.experiments.stages import prepare
from kd_keras.recipes import sst2
from kd_keras.recipes.recipe import TextPolicyName
from kd_keras.tasks import TextTask

TASK = TextTask()


@pytest.fixture(scope="module")
def splits():
    return data.load("opinions", batch_size=100, limit=200)


def test_the_policies_of_recipes_are_those_of_the_task(splits):
    assert TASK.policies == ("none", *get_args(TextPolicyName))
    x, _ = next(iter(splits.test))
    changed = {}
    for name in TASK.policies:
        policy = TASK.policy(name, seed=1)
        assert policy.name == name
        changed[name] = not np.array_equal(policy(x, step=0), x)
    assert changed == {"none": False, "word_dropout": True, "text": True}
    with pytest.raises(ValueError, match="`policy` must be one of 'none', 'word_dropout'"):
        TASK.policy("cutmix", seed=1)


def test_networks_are_as_wide_as_the_vocabulary(splits):
    network = TASK.network("bag4", splits.info, seed=1)
    words = splits.info.details["vocabulary"]
    assert network.get_layer("embedding").input_dim == len(words) + 2
    assert network.input_shape == (None, *splits.info.input_shape)


def test_robustness_is_that_to_typos_and_dropped_words(splits):
    def knows_not(ids):
        """Says 1 where a word is not known."""
        return np.stack([np.zeros(len(ids)), (np.asarray(ids) == 1).any(axis=1) - 0.5], axis=1)

    trials = TASK.trials()
    found = evaluate.examine({"m": knows_not}, splits.test, trials=trials)["m"].robustness
    assert set(found.perturbed) == {
        f"{kind}, {percent} % of words" for kind in ("typos", "dropped") for percent in (10, 30)
    }
    assert not found.left_out
    labels = np.concatenate([y for _, y in splits.test])
    assert found.perturbed["dropped, 30 % of words"] == np.mean(labels == 0)
    assert found.perturbed["typos, 30 % of words"] != np.mean(labels == 0)


def test_a_policy_or_a_network_of_images_is_refused_before_anything_is_trained():
    recipe = dataclasses.replace(sst2().smoke(without_files=True), student="bag4")
    assert recipe.dataset == "opinions"
    for field, value, message in (
        ("policy", "cutmix", "`policy` must be one for data of the kind 'text'"),
        ("teacher", "resnet20", "one of the forms bag<width>"),
    ):
        with pytest.raises(ValueError, match=message):
            prepare(dataclasses.replace(recipe, **{"teacher": "bag4", field: value}), None)


@pytest.mark.slow
def test_a_small_run_gives_a_file_that_takes_sentences(command, tmp_path):
    run = tmp_path / "run"
    small = ("--smoke", "--teacher", "bag16", "--student", "bag8", "--output", run)
    done = command("distill", "sst2", *small, "--limit", 3000, "--batch-size", 32)
    assert done.code == 0, done.err
    report = json.loads((run / "report.json").read_text())
    assert "typos, 30 % of words" in json.dumps(report)
    classifier = export.TextClassifier(run / "student_int8.tflite")
    assert classifier.labels == ("negative", "positive")
    assert classifier.knows("a dull film")
    predicted = command("predict", run / "student_int8.tflite", "the film is dull")
    assert predicted.code == 0 and "negative" in predicted.out
    exported = command(
        "export",
        run / "student.keras",
        "--data",
        "opinions",
        "--output",
        tmp_path / "files",
        "--runs",
        2,
    )
    assert exported.code == 0, exported.err
    (file,) = (tmp_path / "files").glob("*_int8.tflite")
    assert export.metadata.read(file).vocabulary == classifier.vocabulary.words
    verified = command("verify", file, "--data", "opinions", "--student", run / "student.keras")
    assert verified.code == 0, verified.err
    other = tmp_path / "other.tflite"
    words = classifier.vocabulary.words[::-1]
    other.write_bytes(
        export.metadata.pack(file.read_bytes(), labels=classifier.labels, vocabulary=words)
    )
    refused = command("verify", other, "--data", "opinions")
    assert refused.code == 1 and "must have the vocabulary of the data" in refused.err
