"""Run the cells of a study: one after the other, a shard of them, or on Ray."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from kd_keras.arguments import check_integer
from kd_keras.escaping import terminal
from kd_keras.experiments.accidents import going_on
from kd_keras.experiments.study.cell_folder import Busy
from kd_keras.experiments.study.folder import Diverged, StudyFolder, open_study
from kd_keras.experiments.study.grid import Cell, Study, shard_of
from kd_keras.experiments.study.teachers import copy_teachers, data_with_teachers, find_teachers
from kd_keras.portable import portable
from kd_keras.quiet_start import quiet_start, starting
from kd_keras.recipes.recipe import Recipe
from kd_keras.recipes.stage import TEACHER
from kd_keras.report.environment import environment
from kd_keras.report.saying import say

if TYPE_CHECKING:
    from kd_keras.experiments.study.summary import Summary


def run_study(
    study: Study,
    output: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    shard: tuple[int, int] = (1, 1),
    ray: bool = False,
    report_only: bool = False,
    repair: bool = False,
    teachers: str | os.PathLike[str] | None = None,
    robustness_examples: int = 1000,
    command: str | None = None,
    console: Console | None = None,
) -> Summary:
    """Train and measure every cell of a study, and report on all that is in the folder.

    Each cell has a folder of its own under `output`, and a cell that was killed goes on after its
    last complete epoch. Any number of processes may share the work: started with the same folder,
    each takes cells that nobody works on. On machines without a common file system give each a
    shard and copy their `cells` folders together; the same command then only reports. The report
    covers every finished cell in the folder, those of earlier grids over the same recipe too.

    Args:
        study: The grid.
        output: The folder of the study; it is created where needed.
        data_dir: Where the data lie, as `kd_keras.data.load` takes it.
        shard: (k, n): only every n-th cell, beginning with the k-th, k from 1 to n.
        ray: Run cells as tasks on Ray (extra `ray`): on the cluster that RAY_ADDRESS names, whose
            machines must see `output` under the same path, otherwise on this machine.
        report_only: Train nothing; report on what is there.
        repair: Make again what is damaged in the folder.
        teachers: Folder of an earlier study, whose teachers are taken over where this study has
            none yet. The recipes may differ in what concerns students alone, such as epochs.
        robustness_examples: Test images that are attacked with FGSM, and that are in each of the 75
            corrupted test sets; 0 leaves both out.
        command: What the report says fills the folder; by default this call.
        console: Where progress and tables go; by default standard output.

    Returns:
        The summary, as it stands in `study_report.json`.

    Raises:
        ValueError: If the folder cannot be used, files in it are damaged, or the recipe names what
            cannot be made. A folder that was none of a study stays as it was.
        UnwritableError: If the disk is full, or the folder goes away; what is there stays.
        ConnectionError: If the data must be downloaded and cannot be.
        ImportError: If Ray is wanted and not installed.
        kd_keras.NonFiniteLossError: If the training of a teacher diverges. A student that does is
            said so and left without a result, and the others are trained.

    Example:

    ```python
    import kd_keras
    from kd_keras.experiments.study import Study, run_study

    study = Study(recipe=kd_keras.recipes.digits().smoke(), augmentation=("none", "digits"))
    summary = run_study(study, "saved_models/study-digits")
    ```
    """
    console = console or Console()
    check_integer("robustness_examples", robustness_examples, 0)
    cells = shard_of(study.cells(), shard)
    folder = open_study(output, study, repair)
    taken = []
    if teachers is not None:
        taken = find_teachers(folder, teachers, study.teacher_augmentation)
    # A report makes nothing again.
    folder.refuse_or_repair(repair and not report_only, console)
    todo = [] if report_only else [cell for cell in cells if not folder.is_finished(cell)]
    finished = sum(folder.is_finished(cell) for cell in cells)
    count = f"{len(cells)} cells"
    say(console, count, f", {finished} of them finished earlier; results go to {folder.path}")
    for name in study.left_out():
        say(console, f"Left out: {name} without a teacher, which it asks.")
    if not report_only:
        # All that the recipe names is tried before anything is written.
        data = None
        if folder.is_new and not ray:
            data = _identity(folder.recipe, cells, data_dir, console, trains_teachers=not taken)
        folder.begin(data_with_teachers(folder, taken, data), repair)
        copy_teachers(folder, taken)
        folder.note_command(command or _call(study, output, data_dir))
    if todo and ray:
        from kd_keras.experiments.study.on_ray import run_on_ray

        run_on_ray(todo, folder, data_dir, console, robustness_examples)
    elif todo:
        _run_here(todo, folder, data_dir, console, robustness_examples)
    with quiet_start():
        from kd_keras.experiments.study.report import write_best_recipe, write_study_report
        from kd_keras.experiments.study.summary import summarise
    summary = summarise(folder, cells, environment())
    write_study_report(folder.path, summary, console)
    write_best_recipe(folder.path, summary, folder.recipe, console)
    return summary


def _identity(
    recipe: Recipe,
    cells: Sequence[Cell],
    data_dir: str | os.PathLike[str] | None,
    console: Console,
    trains_teachers: bool,
) -> dict[str, Any]:
    with starting(console, "Starting TensorFlow and opening the data"):
        from kd_keras.experiments.stages import prepare
        from kd_keras.experiments.taking import refuse_unfit_teacher
    taught = {(c.distillation, c.augmentation): c for c in cells if c.teacher_augmentation}
    material = prepare(recipe, data_dir, [cell.recipe(recipe) for cell in taught.values()])
    if trains_teachers:
        refuse_unfit_teacher(material, recipe.stage(TEACHER))
    return material.identity()


def _call(
    study: Study, output: str | os.PathLike[str], data_dir: str | os.PathLike[str] | None
) -> str:
    data = "" if data_dir is None else f", data_dir={portable(data_dir)!r}"
    shown = dataclasses.replace(study, recipe=study.recipe.portable())
    return f"kd_keras.experiments.study.run_study({shown}, {portable(output)!r}{data})"


def _run_here(
    todo: Sequence[Cell],
    folder: StudyFolder,
    data_dir: str | os.PathLike[str] | None,
    console: Console,
    robustness_examples: int,
) -> None:
    with starting(console):
        from kd_keras.experiments.study.cell import CellRunner
    runner = CellRunner(folder, data_dir, console, robustness_examples)
    started = time.monotonic()
    done = 0
    for number, cell in enumerate(todo, start=1):
        left = ""
        if done:
            seconds = (time.monotonic() - started) / done * (len(todo) - number + 1)
            left = f", about {seconds / 60:.0f} min for the rest"
        console.rule(terminal(f"cell {number} of {len(todo)}: {cell.name}{left}"), align="left")
        try:
            with going_on(folder.recipe, "the same command"):
                runner.run(cell)
            done += 1
        except KeyboardInterrupt:
            again = "the same command goes on after the last complete epoch"
            raise KeyboardInterrupt(again) from None
        except Busy as error:
            say(console, f"Left to another process. {error}")
        except Diverged as error:
            # What one loss or policy does to a student says nothing of the others.
            say(console, f"Without a result, and the study goes on. {error}", bold=True)
