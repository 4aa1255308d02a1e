"""The last stage: the one look at the test split, and the report of it."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import keras
from rich.console import Console

from kd_keras import evaluate, export
from kd_keras.data import Splits
from kd_keras.run.environment import environment
from kd_keras.run.folder import (
    FLOAT32,
    HISTORY,
    INT8,
    NETWORKS,
    PAGE,
    REPORT,
    STUDENT,
    STUDENT_ALONE,
    TEACHER,
    RunFolder,
)
from kd_keras.run.history import read_history


def measure(folder: RunFolder, splits: Splits, command: str, console: Console) -> None:
    """Evaluate the networks and the `.tflite` files on the whole test split; write the report.

    The report is written last, its JSON after its page: where `report.json` exists, the run is
    finished.

    Args:
        folder: A folder with all networks and files.
        splits: The data.
        command: What to type to make the report again.
        console: Where progress goes.
    """
    started = time.monotonic()
    recipe = folder.recipe
    with console.status("Measuring on the test split, in Keras and in LiteRT ..."):
        rows = _rows(folder, splits)
    histories = read_history(folder.path / HISTORY)
    seconds = {
        f"training: {name}": sum(logs["seconds"] for logs in histories[name]) for name in NETWORKS
    }
    report = evaluate.Report(
        title=f"{Path(recipe.dataset).name}: {recipe.teacher} teaches {recipe.student}",
        command=command,
        recipe=dataclasses.asdict(recipe),
        rows=rows,
        histories={
            network: {
                name: [logs[name] for logs in epochs] for name in epochs[0] if name != "seconds"
            }
            for network, epochs in histories.items()
        },
        environment=environment(),
        seconds={**seconds, "measuring": time.monotonic() - started},
    )
    evaluate.write_report(folder.path / PAGE, folder.path / REPORT, report)


def _rows(folder: RunFolder, splits: Splits) -> tuple[evaluate.ResultRow, ...]:
    titles = {
        TEACHER: "teacher",
        STUDENT_ALONE: "student alone",
        STUDENT: "distilled student",
    }
    rows: list[evaluate.ResultRow] = []
    teacher_logits: Any = None
    parameters = 0
    for name in NETWORKS:
        path = folder.network(name)
        network = keras.models.load_model(path, compile=False)
        logits, labels = evaluate.predict_logits(network, splits.test)
        if name == TEACHER:
            teacher_logits = logits
        parameters = network.count_params()
        rows.append(_row(titles[name], logits, labels, teacher_logits, parameters, path))
    for name, kind in ((FLOAT32, "float32"), (INT8, "int8")):
        path = folder.path / name
        logits, labels = export.predict(path, splits.test)
        row = _row(f"{kind} .tflite", logits, labels, teacher_logits, parameters, path)
        rows.append(dataclasses.replace(row, latency_ms=export.latency(path, threads=1).median_ms))
    return tuple(rows)


def _row(
    title: str, logits: Any, labels: Any, teacher_logits: Any, parameters: int, path: Path
) -> evaluate.ResultRow:
    return evaluate.ResultRow(
        name=title,
        accuracy=evaluate.accuracy(logits, labels),
        agreement=evaluate.agreement(logits, teacher_logits),
        parameters=parameters,
        bytes=path.stat().st_size,
    )
