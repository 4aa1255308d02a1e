"""What a trained cell is worth: one look at the test split, clean, corrupted and attacked."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kd_keras import evaluate
from kd_keras.data import Splits
from kd_keras.json_text import read_json
from kd_keras.network_files import load_network
from kd_keras.run.folder import STUDENT, TEACHER, RunFolder
from kd_keras.study.cell_folder import MEASURED
from kd_keras.study.folder import PREDICTIONS, RESULT, TRAINING
from kd_keras.study.grid import Cell
from kd_keras.whole_file import write_whole, written_beside


class TestViews:
    """The clean, the attacked and the corrupted test split; what cells share is computed once.

    Args:
        splits: The data.
        examples: How many examples, the first of the test split, are attacked, and are in each of
            the 75 corrupted test sets; 0 for none.
    """

    __test__ = False  # not a test, whatever its name

    def __init__(self, splits: Splits, examples: int):
        self.clean = splits.test
        self.few = splits.test.unbatch().take(examples).batch(250).cache()
        self.examples = min(examples, splits.info.test_examples)
        self._teacher_logits: dict[Path, np.ndarray] = {}

    def teacher_logits(self, teacher: Path) -> np.ndarray:
        """Return a teacher's logits of the clean test split; cells that share it share them."""
        if teacher not in self._teacher_logits:
            network = load_network(teacher, TEACHER)
            logits, _ = evaluate.predict_logits(network, self.clean)
            self._teacher_logits[teacher] = logits
        return self._teacher_logits[teacher]

    @functools.cached_property
    def corrupted(self) -> tuple[np.ndarray, np.ndarray]:
        """Images and labels of all corruptions at all severities, one test set after the other."""
        corruptions = evaluate.corruptions
        made: list[np.ndarray] = []
        for name in corruptions.CORRUPTIONS:
            for severity in corruptions.SEVERITIES:
                # In a map: eagerly each call would trace anew. Bound at once, before the loop goes
                # on.
                views = self.few.map(
                    lambda x, _, name=name, severity=severity: corruptions.corrupt(
                        x, name, severity
                    )
                )
                made.extend(views.as_numpy_iterator())
        labels = np.concatenate([y for _, y in self.few.as_numpy_iterator()])
        sets = len(corruptions.CORRUPTIONS) * len(corruptions.SEVERITIES)
        return np.concatenate(made), np.tile(labels, sets)


def measure(
    cell: Cell, folder: RunFolder, views: TestViews, teacher: Path | None, splits: Splits
) -> None:
    """Measure a trained student and write its predictions and its result, the result last.

    Args:
        cell: What was trained.
        folder: The cell's folder, with the trained student and its cost.
        views: The test split in all its forms.
        teacher: The file of the cell's teacher, to compare with; `None` where it has none.
        splits: The data, for the validation split.
    """
    student = load_network(folder.network(STUDENT), STUDENT)
    logits, labels = evaluate.predict_logits(student, views.clean)
    validation = evaluate.accuracy(*evaluate.predict_logits(student, splits.validation))
    measures: dict[str, Any] = {
        "validation_accuracy": validation,
        "accuracy": evaluate.accuracy(logits, labels),
        "nll": evaluate.cross_entropy(logits, labels),
        "ece": evaluate.expected_calibration_error(logits, labels),
        "brier": evaluate.brier_score(logits, labels),
    }
    if teacher is not None:
        teacher_logits = views.teacher_logits(teacher)
        measures["teacher_accuracy"] = evaluate.accuracy(teacher_logits, labels)
        measures["agreement"] = evaluate.agreement(logits, teacher_logits)
        measures["kl_to_teacher"] = evaluate.kl_to_teacher(teacher_logits, logits)
    corruption_errors: dict[str, list[float]] = {}
    if views.examples:
        attack = functools.partial(evaluate.fgsm, student)
        measures["fgsm_accuracy"] = evaluate.accuracy(
            *evaluate.predict_logits(student, views.few, change=attack)
        )
        corruption_errors = _corruption_errors(student, *views.corrupted)
        measures["corruption_error"] = float(np.mean(list(corruption_errors.values())))
    with written_beside(folder.path / PREDICTIONS) as beside:
        np.savez_compressed(beside, logits=np.asarray(logits, "float32"), labels=labels)
    history = folder.histories()[STUDENT]
    result = {
        "cell": dataclasses.asdict(cell),
        "measures": measures,
        "corruption_errors": corruption_errors,
        "robustness_examples": views.examples,
        "cost": read_json(folder.path / TRAINING),
        "validation_curve": [logs["val_accuracy"] for logs in history],
        "feedback": _curves(history),
    }
    write_whole(folder.path / RESULT, json.dumps(result, indent=2) + "\n")
    folder.note(MEASURED, [PREDICTIONS, RESULT])


def _corruption_errors(
    student: keras.Model, images: np.ndarray, labels: np.ndarray
) -> dict[str, list[float]]:
    """Return the error rate under each corruption, a number for each severity."""
    corruptions = evaluate.corruptions
    # One pass over all of them: each call of `predict_logits` traces the student anew.
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(500)
    logits, _ = evaluate.predict_logits(student, batches)
    shape = (len(corruptions.CORRUPTIONS), len(corruptions.SEVERITIES), -1)
    errors = (logits.argmax(axis=-1) != labels).reshape(shape).mean(axis=-1)
    return {
        name: [float(error) for error in severities]
        for name, severities in zip(corruptions.CORRUPTIONS, errors, strict=True)
    }


def _curves(history: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Return what a feedback policy logged, by name, one value for each epoch."""
    prefix = "feedback_"
    names = [name for name in history[0] if name.startswith(prefix)]
    return {name.removeprefix(prefix): [logs[name] for logs in history] for name in names}
