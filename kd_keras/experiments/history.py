"""`history.csv`: one row for each epoch of each network."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from kd_keras.regular_file import read_text
from kd_keras.whole_file import write_whole

# The logs of one network: for each epoch, name and value.
Epochs = list[dict[str, float]]
_KEYS = ("network", "epoch")
MONITORED = "val_accuracy"


def best_epoch(history: Sequence[Mapping[str, float]]) -> int:
    """Return which epoch, counted from 1, was the first with the best validation accuracy."""
    accuracies = [logs[MONITORED] for logs in history]
    return 1 + accuracies.index(max(accuracies))


def read_history(path: Path) -> dict[str, Epochs]:
    """Return the epochs of each network in the file, or nothing where there is no file.

    Raises:
        ValueError: If it is not what `write_history` writes.
    """
    histories: dict[str, Epochs] = {}
    if not path.exists():
        return histories
    try:
        lines = io.StringIO(read_text(path), newline="")
        for row in csv.DictReader(lines, strict=True):
            logs = {name: float(text) for name, text in row.items() if text and name not in _KEYS}
            epochs = histories.setdefault(row["network"], [])
            epochs.append(logs)
            if int(row["epoch"]) != len(epochs):
                raise ValueError(f"epoch {row['epoch']} stands in the place of {len(epochs)}")
    except (OSError, ValueError, TypeError, LookupError, csv.Error) as error:
        raise ValueError(
            f"{str(path)!r} is damaged: {error!r}. Put back a whole copy, or delete it: nothing "
            "but the curves of what is trained already would be missing."
        ) from error
    return histories


def write_history(path: Path, histories: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """Write the file, whole or not at all; a log that a network has not got stays empty."""
    every = [logs for epochs in histories.values() for logs in epochs]
    names = list(dict.fromkeys(name for logs in every for name in logs))
    text = io.StringIO()
    writer = csv.DictWriter(text, [*_KEYS, *names], lineterminator="\n")
    writer.writeheader()
    for network, epochs in histories.items():
        for number, logs in enumerate(epochs, start=1):
            writer.writerow({"network": network, "epoch": number, **logs})
    write_whole(path, text.getvalue())
