"""The files of a recording: which there are to be, and whether they are what they were."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kd_keras.regular_file import open_regular
from kd_keras.replay.manifest import MANIFEST, Manifest, differences, read_manifest


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file: the views of some successive batches of one epoch.

    Attributes:
        epoch: Which epoch, from 0.
        part: Which file of the epoch, from 0.
        first: Its first batch within the epoch.
        steps: How many batches.
    """

    epoch: int
    part: int
    first: int
    steps: int

    @property
    def file(self) -> str:
        """The name of the file."""
        return f"epoch-{self.epoch:05d}-part-{self.part:04d}.npy"


@dataclasses.dataclass(frozen=True)
class RecordingFolder:
    """A folder with a manifest.

    Attributes:
        path: The folder.
        manifest: What is recorded in it.
    """

    path: Path
    manifest: Manifest

    def shards(self) -> list[Shard]:
        """Return all files that there are to be, in the order of training."""
        manifest = self.manifest
        firsts = range(0, manifest.steps_per_epoch, manifest.steps_per_shard)
        return [
            Shard(
                epoch, part, first, min(manifest.steps_per_shard, manifest.steps_per_epoch - first)
            )
            for epoch in range(manifest.epochs)
            for part, first in enumerate(firsts)
        ]

    def missing(self) -> list[Shard]:
        """Return the shards that are not written yet."""
        there = {entry.name for entry in os.scandir(self.path)}
        return [shard for shard in self.shards() if shard.file not in there]

    def refuse_unfinished(self) -> None:
        """Raise `ValueError` unless every file that there is to be is there and in the table."""
        missing = self.missing()
        if missing or len(self.manifest.shards) != len(self.shards()):
            count = len(missing) or len(self.shards()) - len(self.manifest.shards)
            raise ValueError(
                f"The recording {str(self.path)!r} is not finished: {count} of "
                f"{len(self.shards())} files are missing. Go on with the call or the command that "
                "began it."
            )

    def refuse_other_data(self, training: Any) -> None:
        """Raise `ValueError` unless data are those that were recorded, as far as they are known.

        Args:
            training: `TrainingData`.
        """
        manifest = self.manifest
        found = [
            difference
            for name, there, here in (
                ("data", manifest.data, training.identity),
                ("order", manifest.order, training.order),
                ("inputs", manifest.inputs, training.inputs),
                ("steps_per_epoch", manifest.steps_per_epoch, training.steps_per_epoch),
            )
            for difference in differences(name, there, here)
        ]
        if found:
            raise ValueError(
                f"`data` are not those of the recording {str(self.path)!r}: {'; '.join(found)}. "
                "Load the data as they were recorded, or record these."
            )

    def refuse_damaged(self) -> None:
        """Raise `ValueError` if a file is not the one that was recorded. Reads all of them."""
        for entry in self.manifest.shards:
            path = self.path / entry["file"]
            if checksum(path) != entry["sha256"]:
                raise ValueError(
                    f"{str(path)!r} is damaged: its SHA-256 is not that of the manifest. Delete it "
                    "and record again into the same folder, which writes that file alone."
                )


def open_folder(path: str | os.PathLike[str]) -> RecordingFolder:
    """Return the recording in a folder.

    Raises:
        ValueError: If there is none, or its manifest cannot be read.
    """
    path = Path(path)
    manifest = read_manifest(path)
    if manifest is None:
        raise ValueError(
            f"There is no recording at {str(path)!r}: it has no {MANIFEST}. Make one with "
            "`kd-keras record` or kd_keras.replay.record(teacher, data, folder, epochs=...)."
        )
    return RecordingFolder(path, manifest)


def rows_in(path: Path, dtype: np.dtype) -> np.memmap:
    """Return the rows of a file, mapped into memory.

    Raises:
        ValueError: If it is no file of such rows.
    """
    try:
        open_regular(path).close()
        rows: np.memmap = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{str(path)!r} cannot be read: {error}. Delete it and record again."
        ) from error
    if rows.dtype != dtype or rows.ndim != 1:
        raise ValueError(
            f"{str(path)!r} must hold rows of {dtype}. Received: {rows.dtype} of shape "
            f"{rows.shape}. Delete it and record again."
        )
    return rows


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def table_of(manifest: Manifest, epoch: int) -> list[Mapping[str, Any]]:
    """Return the files of an epoch, in their order."""
    return [entry for entry in manifest.shards if entry["epoch"] == epoch]
