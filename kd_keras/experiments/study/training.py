"""Train the teachers and the student of a cell."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path

from rich.console import Console

from kd_keras.experiments.folder import RunFolder
from kd_keras.experiments.stage_record import StageRecord
from kd_keras.experiments.stages import Material, prepare, train
from kd_keras.experiments.study.cell_folder import COUNTED, awaited
from kd_keras.experiments.study.folder import TRAINING, StudyFolder
from kd_keras.experiments.study.grid import Cell
from kd_keras.network_files import load_network
from kd_keras.recipes.recipe import TeacherPolicyName
from kd_keras.recipes.stage import STUDENT, STUDENT_ALONE, TEACHER
from kd_keras.whole_file import write_whole


def train_teacher(
    study: StudyFolder,
    augmentation: TeacherPolicyName,
    data_dir: str | os.PathLike[str] | None,
    console: Console,
) -> Path:
    """Return the file of the teacher that was trained on `augmentation`; train it where needed.

    One process trains it, others wait.

    Args:
        study: Where it is kept.
        augmentation: Name of the policy that it is trained with.
        data_dir: Where the data lie.
        console: Where progress goes.
    """
    recipe = dataclasses.replace(study.recipe, policy=augmentation)
    path = study.teacher(augmentation)
    file = RunFolder(path, recipe).network(TEACHER)
    if StageRecord(path).has(TEACHER):
        return file
    with awaited(path, recipe, console, f"the teacher on {augmentation}") as folder:
        if not folder.is_trained(TEACHER):
            material = prepare(recipe, data_dir, taught_by=())
            study.check_data(material.identity())
            stage = recipe.stage(TEACHER)
            train(stage, f"{stage.title} on {augmentation}", material, folder, {}, console)
    return file


def train_student(
    cell: Cell, folder: RunFolder, material: Material, teacher: Path | None, console: Console
) -> None:
    """Train the student of a cell and note what it cost, where not yet done.

    Args:
        cell: What to train.
        folder: The cell's folder.
        material: Data and networks, of the cell's recipe.
        teacher: The file of the teacher; `None` where the cell has none.
        console: Where progress goes.
    """
    if folder.is_done(COUNTED) and folder.is_done(STUDENT):
        return
    recipe = material.recipe
    stage = recipe.stage(STUDENT_ALONE if teacher is None else STUDENT)
    calls = 0
    if teacher is not None:
        views = getattr(material.views_of(stage), "pool", 1)
        calls = views * recipe.epochs * material.splits.steps_per_epoch * recipe.batch_size
    started = time.monotonic()
    file = folder.network(STUDENT)
    teachers = {} if teacher is None else {TEACHER: teacher}
    train(stage, cell.name, material, folder, teachers, console, name=STUDENT)
    epochs = folder.histories()[STUDENT]
    cost = {
        "training_seconds": sum(logs["seconds"] for logs in epochs),
        # With tracing and checkpoints, and without what an earlier, killed process did.
        "wall_seconds": time.monotonic() - started,
        "teacher_calls": calls,
        "parameters": load_network(file, STUDENT).count_params(),
    }
    write_whole(folder.path / TRAINING, json.dumps(cost, indent=2) + "\n")
    folder.note(COUNTED, [TRAINING])
