"""The last stage: the one look at the test split, and the report of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from rich.console import Console

from kd_keras import evaluate, export
from kd_keras.experiments.folder import (
    FLOAT32,
    HISTORY,
    INT8,
    PAGE,
    REPORT,
    REPORTED,
    SHEET,
    RunFolder,
)
from kd_keras.experiments.history import best_epoch, write_history
from kd_keras.experiments.stages import Material, heard_as_one
from kd_keras.network_files import load_network
from kd_keras.recipes.recipe import Recipe
from kd_keras.recipes.stage import ASSISTANTS, MORE_TEACHERS, STUDENT, STUDENT_ALONE, TEACHER
from kd_keras.report import Report, ResultRow, read_report, write_report
from kd_keras.report.environment import environment
from kd_keras.report.strips import drawn

_TITLES = {
    TEACHER: "teacher",
    **{name: name.replace("_", " ") for name in (*MORE_TEACHERS, *ASSISTANTS)},
    STUDENT_ALONE: "student alone",
    STUDENT: "distilled student",
}
_TOGETHER = "teachers together"
_NO_TRIALS = evaluate.Trials(corruptions=(), rotations=(), scales=(), attacks=False)


def measure(
    folder: RunFolder, material: Material, command: str, console: Console, robustness: bool = True
) -> None:
    """Examine the networks and the `.tflite` files on the test split; write the report.

    The report is written last, its JSON after its page and its sheet: where `report.json` exists,
    the run is finished.

    Args:
        folder: A folder with all networks and files.
        material: The data, and the policy whose views are looked at too.
        command: What to type to make the report again.
        console: Where progress goes.
        robustness: Whether to try corruptions, shifts and attacks too.
    """
    path = folder.path
    files = (PAGE, SHEET, REPORT, HISTORY)
    done = folder.record.stages().get(REPORTED) if folder.is_done(REPORTED) else None
    if done is not None and set(done.files) == set(files):
        return
    # What is damaged around a whole report is written again from it.
    report = None if done is None else read_report(path / REPORT)
    report = report or _measured(folder, material, command, console, robustness)
    write_history(path / HISTORY, folder.histories())
    write_report(path / PAGE, path / REPORT, report, path / SHEET)
    folder.note(REPORTED, files)


def _measured(
    folder: RunFolder, material: Material, command: str, console: Console, robustness: bool
) -> Report:
    started = time.monotonic()
    recipe, splits = folder.recipe, material.splits
    with console.status("Measuring on the test split, in Keras and in LiteRT ...") as status:
        rows, strips = _rows(
            folder, material, robustness, lambda part: status.update(f"Measuring: {part}")
        )
    # Without epochs: a network of an earlier version whose history is lost.
    histories = {network: epochs for network, epochs in folder.histories().items() if epochs}
    seconds = {
        f"training: {network}": sum(logs["seconds"] for logs in epochs)
        for network, epochs in histories.items()
    }
    return Report(
        title=f"{splits.info.title}: {recipe.title}",
        command=command,
        recipe={**recipe.portable().to_dict(), **_kept(recipe, histories)},
        rows=rows,
        histories={
            network: {
                name: [logs[name] for logs in epochs] for name in epochs[0] if name != "seconds"
            }
            for network, epochs in histories.items()
        },
        environment=environment(),
        seconds={**seconds, "measuring": time.monotonic() - started},
        classes=splits.info.class_names,
        strips=strips,
        baseline=_TITLES[STUDENT_ALONE],
        noun=material.task.noun,
    )


def _kept(recipe: Recipe, histories: Mapping[str, Any]) -> dict[str, str]:
    """Return after which epoch each network was kept, where that is not the last."""
    if recipe.keep == "last":
        return {}
    epochs = (f"{name} {best_epoch(history)}" for name, history in histories.items())
    return {"kept_epochs": ", ".join(epochs)}


def _rows(
    folder: RunFolder, material: Material, robustness: bool, progress: Callable[[str], None]
) -> tuple[tuple[ResultRow, ...], dict[str, str]]:
    """Return what was found of each model, and strips of some test images where there are any."""
    models: dict[str, Any] = {}
    paths: dict[str, Path] = {}
    teachers: dict[str, Any] = {}
    for stage in folder.recipe.stages():
        title = _TITLES[stage.name]
        paths[title] = folder.network(stage.name)
        models[title] = load_network(folder.network(stage.name), stage.name)
        if stage.is_teacher:
            teachers[title] = models[title]
    reference = _TITLES[TEACHER]
    if len(teachers) > 1:
        reference = _TOGETHER
        models[_TOGETHER] = heard_as_one(teachers, folder.recipe, with_labels=False)
    for name, kind in ((FLOAT32, "float32"), (INT8, "int8")):
        paths[f"{kind} .tflite"] = folder.path / name
        models[f"{kind} .tflite"] = export.LiteModel(folder.path / name).predict
    splits, recipe = material.splits, folder.recipe
    # As many training images as there are test images: as exact, and no dearer.
    batches = math.ceil(splits.info.test_examples / recipe.batch_size)
    policy = material.views()
    draw = tf.function(lambda images, step: policy(images, step=step), autograph=False)
    examinations = evaluate.examine(
        models,
        splits.test,
        teacher=reference,
        training=splits.training().take(min(batches, splits.steps_per_epoch)),
        # A tensor: of each Python number a graph of its own would be traced.
        views=lambda images, number: draw(images, tf.constant(number, tf.int64)),
        trials=material.task.trials() if robustness else _NO_TRIALS,
        ignored=material.task.ignored,
        progress=progress,
    )
    alone = examinations[_TITLES[STUDENT_ALONE]]
    student = models[_TITLES[STUDENT]]
    rows = tuple(
        ResultRow(
            name=name,
            accuracy=examination.accuracy,
            agreement=None if examination.fidelity is None else examination.fidelity.agreement,
            parameters=getattr(models[name], "count_params", student.count_params)(),
            bytes=sum(
                paths[part].stat().st_size for part in (teachers if name == _TOGETHER else (name,))
            ),
            latency_ms=None
            if name in (_TOGETHER, *_TITLES.values())
            else export.latency(paths[name], threads=1).median_ms,
            mce=_mce(examination, alone),
            examination=examination,
        )
        for name, examination in examinations.items()
    )
    # Labels with a shape are maps, which can be looked at.
    return rows, drawn(models, splits.test) if splits.info.label_shape else {}


def _mce(examination: evaluate.Examination, baseline: evaluate.Examination) -> float | None:
    """Return the mean corruption error, or None where the baseline makes no error to divide by."""
    mine, theirs = (
        None if e.robustness is None else e.robustness.corruption_errors
        for e in (examination, baseline)
    )
    if not mine or not theirs or not all(sum(errors) for errors in theirs.values()):
        return None
    return evaluate.corruptions.mean_corruption_error(mine, theirs)
