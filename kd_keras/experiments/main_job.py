"""The main job: from a recipe to a report and two files for the phone."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from kd_keras.experiments.accidents import going_on
from kd_keras.experiments.data_identity import refuse_other_images
from kd_keras.experiments.folder import AGAIN, HISTORY, PAGE, REPORT, REPORTED, START_OVER
from kd_keras.experiments.opening import is_finished, open_run
from kd_keras.experiments.repair import damage_in, refuse
from kd_keras.experiments.stage_record import StageRecord
from kd_keras.portable import portable
from kd_keras.quiet_start import starting
from kd_keras.recipes.recipe import Recipe
from kd_keras.report.saying import say

if TYPE_CHECKING:
    from kd_keras.report import Report


def distill(
    recipe: Recipe,
    output: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    fresh: bool = False,
    repair: bool = False,
    robustness: bool = True,
    command: str | None = None,
    console: Console | None = None,
) -> Report:
    """Train teacher, student alone and distilled student; export, verify and report.

    In a chain the recipe's assistants stand between teacher and student (`assistant_1.keras`, ...).
    All go to the folder `output`: `recipe.json`, `data.json` (which data they are of),
    `history.csv` (one row for each epoch), `teacher.keras`, `student_alone.keras`, `student.keras`,
    `student_float32.tflite`, `student_int8.tflite`, `export.json` (how far these two are from
    `student.keras` on the test split), `report.html`, `report.csv` (one row for each model),
    `report.json`, and `stages.json`, with a digest of every file of a finished stage, by which
    later damage is noticed. Each file appears whole or not at all. A run that was killed goes on
    where it stopped, with the results of an unbroken one; a finished one is only shown. The test
    split is looked at once, at the end.

    Args:
        recipe: What to run, such as `kd_keras.recipes.digits()`.
        output: The folder of the run; it is created where needed.
        data_dir: Where the data lie, as `kd_keras.data.load` takes it.
        fresh: Delete an earlier run in `output`, of this or another recipe, and start over.
        repair: Make again what is damaged of an earlier run, and what was made from it where it
            ends otherwise.
        robustness: Measure under corruptions, shifts and attacks too, on at most 1,000 test images.
            The trained networks do not depend on it.
        command: What the report says makes it again; by default this call.
        console: Where progress and the table go; by default standard output.

    Returns:
        The report, as it stands in `report.json`.

    Raises:
        ValueError: If the folder cannot be used (see `open_run`), it holds a run on other data or
            damaged files, or the recipe names a dataset or an architecture that cannot be made.
        UnwritableError: If the disk is full, or the folder goes away; what is there stays.
        KeyboardInterrupt: If interrupted; where something is kept, it says how to go on.
        ConnectionError: If the data must be downloaded and cannot be.
        kd_keras.NonFiniteLossError: If a training diverges.

    Example:

    ```python
    import kd_keras
    from kd_keras.experiments import distill

    report = distill(kd_keras.recipes.digits().smoke(), "saved_models/trial")
    report.rows[0].accuracy
    ```
    """
    output = Path(output)
    console = console or Console()
    if not fresh and is_finished(output, recipe) and _is_whole(output, repair):
        unknown = refuse_other_images(output, recipe, data_dir, START_OVER)
        say(console, f"Finished earlier, in {output}. To start over: --fresh")
        if unknown:
            say(console, f"Its data could not be compared: {unknown}.")
        return _show(output, console)
    say(console, f"{recipe.dataset}: {recipe.title}", f"; results go to {output}")
    started = time.monotonic()
    with open_run(output, recipe, fresh) as folder:
        with starting(console):
            from kd_keras.experiments.measuring import measure
            from kd_keras.experiments.stages import (
                export_student,
                prepare,
                start_devices,
                train_networks,
            )
            from kd_keras.experiments.taking import refuse_unfit_teacher

            start_devices()
        # Nothing moves on the terminal here but what TensorFlow Datasets shows of a download.
        material = prepare(recipe, data_dir)
        for stage in recipe.stages():
            if fresh or not folder.network(stage.name).exists():
                refuse_unfit_teacher(material, stage)
        folder.begin(fresh, material.identity(), repair, console)
        again = f"the same command{' without --fresh' if fresh else ''}"
        try:
            with going_on(recipe, again, material.splits.info.input_shape):
                train_networks(material, folder, console)
                export_student(material, folder, console)
                command = command or _call(recipe, output, data_dir)
                measure(folder, material, command, console, robustness)
        except KeyboardInterrupt:
            if not (folder.path / HISTORY).exists():
                raise  # There is nothing yet to go on with.
            raise KeyboardInterrupt(f"{again} goes on after the last complete epoch") from None
    say(console, f"Done in {time.monotonic() - started:.0f} s.")
    return _show(output, console)


def _is_whole(output: Path, repair: bool) -> bool:
    """Whether a finished run needs no more work; raise where it is damaged and not repaired."""
    damage = damage_in(output)
    if not repair:
        refuse(output, damage, AGAIN)
    record = StageRecord(output)
    # Earlier versions kept no record. One without the report was killed just before noting it.
    return not damage and (not record.exists or record.has(REPORTED))


def _show(output: Path, console: Console) -> Report:
    from kd_keras.report import print_table, read_report

    report = read_report(output / REPORT)
    print_table(report, console)
    say(console, f"With curves: {output / PAGE}")
    return report


def _call(recipe: Recipe, output: Path, data_dir: str | os.PathLike[str] | None) -> str:
    data = "" if data_dir is None else f", data_dir={portable(data_dir)!r}"
    return f"kd_keras.experiments.distill({recipe.portable()}, {portable(output)!r}{data})"
