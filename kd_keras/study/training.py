"""Train the teachers and the student of a cell."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from kd_keras import augment
from kd_keras.network_files import load_network
from kd_keras.recipes.recipe import PolicyName
from kd_keras.run.folder import HISTORY, STUDENT, TEACHER, RunFolder
from kd_keras.run.history import read_history
from kd_keras.run.stages import Material, prepare
from kd_keras.run.training import Training
from kd_keras.study.folder import TRAINING, StudyFolder, awaited
from kd_keras.study.grid import FEEDBACK, PICK, UNIFORM, Cell
from kd_keras.study.teaching import teaching
from kd_keras.training.distiller import Distiller
from kd_keras.training.supervised import Supervised
from kd_keras.whole_file import write_whole


def train_teacher(
    study: StudyFolder,
    augmentation: PolicyName,
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
    if file.exists():
        return file
    with awaited(path, recipe, console, f"the teacher on {augmentation}") as folder:
        if not file.exists():
            material = prepare(recipe, data_dir)
            study.check_data(material.splits.info)
            network = material.build(recipe.teacher)
            Training(
                name=TEACHER,
                title=f"Teacher {recipe.teacher} on {augmentation}",
                network=network,
                model=Supervised(network, material.policy),
                epochs=recipe.teacher_epochs,
                learning_rate=recipe.teacher_learning_rate,
                rate_field="teacher_learning_rate",
            ).run(folder, recipe, material.splits, console)
    return file


def train_student(
    cell: Cell, folder: RunFolder, material: Material, teacher: Path | None, console: Console
) -> None:
    """Train the student of a cell and note what it cost, where not yet done.

    Args:
        cell: What to train.
        folder: The cell's folder.
        material: Data and architectures; its policy is not used.
        teacher: The file of the teacher; `None` where the cell has none.
        console: Where progress goes.
    """
    if (folder.path / TRAINING).exists():
        return
    recipe = folder.recipe
    network = material.build(recipe.student)
    augmentation: Any = _augmentation(cell.augmentation, cell.seed)
    model: Any
    if teacher is None:
        if isinstance(augmentation, augment.Feedback):  # the control, which follows nothing
            augmentation = augmentation.policy
        model = Supervised(network, augmentation)
        calls = 0
    else:
        how = teaching(cell.distillation, recipe, material.splits.steps_per_epoch)
        model = Distiller(
            load_network(teacher, TEACHER),
            network,
            how.losses,
            how.weights,
            how.student_loss_weight,
            combine=how.combine,
            augmentation=augmentation,
        )
        views = augmentation.pool if isinstance(augmentation, augment.Pick) else 1
        calls = views * recipe.epochs * material.splits.steps_per_epoch * recipe.batch_size
    started = time.monotonic()
    Training(
        name=STUDENT,
        title=cell.name,
        network=network,
        model=model,
        epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        rate_field="learning_rate",
    ).run(folder, recipe, material.splits, console)
    epochs = read_history(folder.path / HISTORY)[STUDENT]
    cost = {
        "training_seconds": sum(logs["seconds"] for logs in epochs),
        # With tracing and checkpoints, and without what an earlier, killed process did.
        "wall_seconds": time.monotonic() - started,
        "teacher_calls": calls,
        "parameters": network.count_params(),
    }
    write_whole(folder.path / TRAINING, json.dumps(cost, indent=2) + "\n")


def _augmentation(name: str, seed: int) -> Any:
    if name.endswith(PICK):
        return augment.Pick(augment.named(name.removesuffix(PICK), seed=seed))
    if name in (FEEDBACK, UNIFORM):
        return augment.Feedback(seed=seed, rate=0.0 if name == UNIFORM else 1.0)
    return augment.named(name, seed=seed)
