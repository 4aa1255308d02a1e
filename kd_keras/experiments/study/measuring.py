"""What a trained cell is worth: one look at the test split, clean, corrupted and attacked."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kd_keras import evaluate
from kd_keras.data import Splits
from kd_keras.experiments.folder import RunFolder
from kd_keras.experiments.study.cell_folder import MEASURED
from kd_keras.experiments.study.folder import PREDICTIONS, RESULT, TRAINING
from kd_keras.experiments.study.grid import Cell
from kd_keras.json_text import read_json
from kd_keras.network_files import load_network
from kd_keras.recipes.stage import STUDENT, TEACHER
from kd_keras.tasks import task_of
from kd_keras.whole_file import write_whole, written_beside


class TestViews:
    """The clean, the attacked and the corrupted test split; what cells share is computed once.

    Args:
        splits: The data.
        examples: How many examples, evenly spaced in the test split, are attacked, and are in each
            of the 75 corrupted test sets, or perturbed where they are no images; 0 for none.
    """

    __test__ = False  # not a test, whatever its name

    def __init__(self, splits: Splits, examples: int):
        self._task = task_of(splits.info)
        self.clean = splits.test
        self.examples = min(examples, splits.info.test_examples)
        # What cells share is changed once.
        self.changed: dict[str, np.ndarray] = {}
        self._teacher_logits: dict[Path, np.ndarray] = {}

    @property
    def trials(self) -> evaluate.Trials:
        """What a cell's student is put through."""
        if not self.examples:
            return evaluate.Trials((), (), (), (), attacks=False)
        return dataclasses.replace(self._task.trials(), rotations=(), scales=())

    def teacher_logits(self, teacher: Path) -> np.ndarray:
        """Return a teacher's logits of the clean test split; cells that share it share them."""
        if teacher not in self._teacher_logits:
            network = load_network(teacher, TEACHER)
            logits, _ = evaluate.predict_logits(network, self.clean)
            self._teacher_logits[teacher] = logits
        return self._teacher_logits[teacher]


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
    examination = evaluate.examine(
        {STUDENT: student},
        views.clean,
        trials=views.trials,
        limit=max(views.examples, 1),
        kept=views.changed,
    )[STUDENT]
    measures: dict[str, Any] = {
        "validation_accuracy": evaluate.accuracy(
            *evaluate.predict_logits(student, splits.validation)
        ),
        "accuracy": examination.accuracy,
        "nll": examination.cross_entropy,
        "ece": examination.calibration_error,
        "brier": examination.brier_score,
    }
    if teacher is not None:
        teacher_logits = views.teacher_logits(teacher)
        measures["teacher_accuracy"] = evaluate.accuracy(teacher_logits, labels)
        measures["agreement"] = evaluate.agreement(logits, teacher_logits)
        measures["kl_to_teacher"] = evaluate.kl_to_teacher(teacher_logits, logits)
    tried = examination.robustness
    if tried is not None and tried.corruption_error is not None:
        measures["corruption_error"] = tried.corruption_error
    if tried is not None and tried.fgsm is not None:
        measures["fgsm_accuracy"], measures["pgd_accuracy"] = tried.fgsm, tried.pgd
    with written_beside(folder.path / PREDICTIONS) as beside:
        np.savez_compressed(beside, logits=np.asarray(logits, "float32"), labels=labels)
    history = folder.histories()[STUDENT]
    result = {
        "cell": dataclasses.asdict(cell),
        "measures": measures,
        "corruption_errors": {} if tried is None else dict(tried.corruption_errors),
        "robustness_examples": views.examples,
        "cost": read_json(folder.path / TRAINING),
        "validation_curve": [logs["val_accuracy"] for logs in history],
        "feedback": _curves(history),
    }
    write_whole(folder.path / RESULT, json.dumps(result, indent=2) + "\n")
    folder.note(MEASURED, [PREDICTIONS, RESULT])


def _curves(history: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Return what a feedback policy logged, by name, one value for each epoch."""
    prefix = "feedback_"
    names = [name for name in history[0] if name.startswith(prefix)]
    return {name.removeprefix(prefix): [logs[name] for logs in history] for name in names}
