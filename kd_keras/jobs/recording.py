"""Record a teacher's answers, and check a recording, by the names of data and policies."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from kd_keras.jobs.teacher import load_data, load_teacher, required_teacher
from kd_keras.quiet_start import starting
from kd_keras.report.progress import progress_bar

if TYPE_CHECKING:
    from kd_keras.replay.checking import Checked


@dataclasses.dataclass(frozen=True)
class Recorded:
    """What a folder holds after a call of `record_labels`.

    Attributes:
        folder: The recording.
        epochs: Epochs that there are to be.
        shards: Files that there are to be.
        missing: Files that other processes, or other shares, have still to write.
        views: Views in the files that are there; 0 while some are missing.
        bytes_per_view: Bytes of one view.
        bytes: Bytes of all files of views that are there.
    """

    folder: Path
    epochs: int
    shards: int
    missing: int
    views: int
    bytes_per_view: int
    bytes: int


def record_labels(
    dataset: str,
    policy: str,
    output: str | os.PathLike[str],
    *,
    epochs: int,
    top: int | None = None,
    teacher: str | os.PathLike[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    batch_size: int = 128,
    seed: int = 0,
    limit: int | None = None,
    steps_per_shard: int = 500,
    share: tuple[int, int] = (1, 1),
    console: Console | None = None,
) -> Recorded:
    """Record what a trained teacher says of the views of a named policy.

    Order and views are those of a recipe with the same batch size, seed, limit and policy.

    Args:
        dataset: As `kd_keras.data.load` takes it.
        policy: One of `kd_keras.augment.policy_names()`.
        output: As `folder` of `kd_keras.replay.record`.
        epochs: How many epochs.
        top: As `k` of `kd_keras.replay.record`.
        teacher: A `.keras` file; by default `saved_models/<dataset>/teacher.keras`.
        data_dir: As `kd_keras.data.load` takes it.
        batch_size: Examples in a batch.
        seed: Seed of the data's order and of the views.
        limit: As `kd_keras.data.load` takes it.
        steps_per_shard: As for `kd_keras.replay.record`.
        share: As for `kd_keras.replay.record`.
        console: Where progress goes; by default standard output.

    Raises:
        ValueError: As `kd_keras.replay.record`, and if there is no teacher.
        ConnectionError: If the data must be downloaded and cannot be.
    """
    console = console or Console()
    network, splits = _open(dataset, teacher, data_dir, batch_size, seed, limit, console)

    from kd_keras import augment, replay

    total = epochs * splits.steps_per_epoch
    with progress_bar(console, f"Recording {epochs} epochs of {dataset}", total) as show:
        recording = replay.record(
            network,
            splits,
            output,
            epochs=epochs,
            augmentation=augment.named(policy, seed=seed),
            k=top,
            steps_per_shard=steps_per_shard,
            share=share,
            progress=show,
        )
    manifest = recording.manifest
    return Recorded(
        folder=recording.path,
        epochs=manifest.epochs,
        shards=len(recording.shards()),
        missing=len(recording.missing()),
        views=sum(entry["rows"] for entry in manifest.shards),
        bytes_per_view=manifest.rows.dtype.itemsize,
        bytes=sum(path.stat().st_size for path in recording.path.glob("epoch-*.npy")),
    )


def check_labels(
    dataset: str,
    output: str | os.PathLike[str],
    *,
    teacher: str | os.PathLike[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    batch_size: int = 128,
    seed: int = 0,
    limit: int | None = None,
    batches: int = 8,
    console: Console | None = None,
) -> Checked:
    """Ask the teacher again about a sample of recorded batches.

    Args:
        dataset: As for `record_labels`.
        output: The recording.
        teacher: As for `record_labels`.
        data_dir: As for `record_labels`.
        batch_size: As for `record_labels`.
        seed: As for `record_labels`.
        limit: As for `record_labels`.
        batches: How many batches to compare.
        console: As for `record_labels`.

    Raises:
        ValueError: As `kd_keras.replay.check`, and if there is no teacher.
        ConnectionError: If the data must be downloaded and cannot be.
    """
    console = console or Console()
    network, splits = _open(dataset, teacher, data_dir, batch_size, seed, limit, console)

    from kd_keras import replay

    with progress_bar(console, f"Checking {batches} batches", batches) as show:
        return replay.check(network, splits, output, batches=batches, progress=show)


def _open(
    dataset: str,
    teacher: str | os.PathLike[str] | None,
    data_dir: str | os.PathLike[str] | None,
    batch_size: int,
    seed: int,
    limit: int | None,
    console: Console,
) -> tuple[Any, Any]:
    path = required_teacher(dataset, teacher)
    with starting(console, "Starting TensorFlow and opening the data"):
        network = load_teacher(path)
        splits = load_data(
            dataset, network, data_dir, batch_size=batch_size, seed=seed, limit=limit
        )
    return network, splits
