"""Run cells as tasks on Ray: on a cluster, or on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from kd_keras.experiments.study.cell_folder import Busy
from kd_keras.experiments.study.folder import Diverged, StudyFolder
from kd_keras.experiments.study.grid import Cell
from kd_keras.report.saying import say

# TensorFlow spreads one training over the cores that it gets; two serve small networks well.
_CORES = 2


def run_on_ray(
    cells: Sequence[Cell],
    folder: StudyFolder,
    data_dir: str | os.PathLike[str] | None,
    console: Console,
    robustness_examples: int,
) -> None:
    """Run cells as Ray tasks, each in a process of its own, and wait until all are done.

    The teachers are trained by the first tasks that need them, while others wait. A task whose
    worker dies is tried again and goes on after the last complete epoch.

    Args:
        cells: What to run.
        folder: The folder of the study; every worker must see it under the same path.
        data_dir: Where the data lie, for every worker.
        console: Where progress goes.
        robustness_examples: As for `run_study`.

    Raises:
        ImportError: If Ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise ImportError(
            "Ray is not installed. Received: ray=True. Install it with "
            "`pip install 'kd-keras[ray]'`, or run without it."
        ) from error
    was_initialized = ray.is_initialized()
    if not was_initialized:
        address = os.environ.get("RAY_ADDRESS")
        ray.init(address=address, log_to_driver=False, include_dashboard=None if address else False)
    try:
        cores = min(_CORES, int(ray.cluster_resources().get("CPU", 1)))
        task = ray.remote(num_cpus=cores, max_retries=2)(_run_cell)
        absolute = StudyFolder(Path(folder.path).absolute(), folder.recipe)
        data = None if data_dir is None else str(Path(data_dir).absolute())
        waiting = {task.remote(absolute, cell, data, robustness_examples): cell for cell in cells}
        _wait(ray, waiting, console)
    finally:
        if not was_initialized:
            ray.shutdown()


def _wait(ray: Any, waiting: dict[Any, Cell], console: Console) -> None:
    columns = (
        TextColumn("cells on Ray"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("cells", total=len(waiting))
        while waiting:
            (ready,), _ = ray.wait(list(waiting), num_returns=1)
            cell = waiting.pop(ready)
            say(progress.console, f"{cell.name}: {_outcome(ray, ready, cell)}")
            progress.advance(bar)


def _outcome(ray: Any, ready: Any, cell: Cell) -> str:
    try:
        outcome: str = ray.get(ready)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error  # without the other process's traceback in its text
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
        raise RuntimeError(
            f"The process of {cell.name} was killed ({type(error).__name__}), most likely for want "
            "of memory. What is finished is kept, and the same command goes on: with a lower "
            "`batch_size`, or without `ray`, which has one cell at a time in memory."
        ) from error
    return outcome


def _run_cell(
    folder: StudyFolder, cell: Cell, data_dir: str | None, robustness_examples: int
) -> str:
    """Run one cell in a worker and return what became of it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from kd_keras.experiments.study.cell import CellRunner

    try:
        CellRunner(folder, data_dir, Console(quiet=True), robustness_examples).run(cell)
    except Busy as error:
        return f"left to another process. {error}"
    except Diverged as error:
        return f"without a result. {error}"
    return "finished"
