"""The files of a recording: which there are to be, and whether they are what they were."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from pathlib import Path
from typing import Any

import numpy as np

from kd_keras.folders import file_inside
from kd_keras.regular_file import open_regular, read_text
from kd_keras.replay.manifest import (
    MANIFEST,
    Manifest,
    Shard,
    differences,
    is_digest,
    read_manifest,
)
from kd_keras.replay.verified import damaged


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
        return self.manifest.files()

    def file(self, shard: Shard) -> Path:
        """Return the path of a file.

        Raises:
            ValueError: If it is a link to what lies elsewhere.
        """
        return file_inside(self.path, shard.file)

    def checksum_file(self, shard: Shard) -> Path:
        """Return where the checksum of a shard stands until the manifest's table has it."""
        return file_inside(self.path, f".{shard.file}.sha256")

    def checksum_of(self, shard: Shard) -> str | None:
        """Return the checksum that was written with a shard, or None where there is none."""
        with contextlib.suppress(OSError, ValueError):
            words = read_text(self.checksum_file(shard)).split()
            if is_digest(words[0] if words else None):
                return words[0]
        return self._table.get(shard.file)

    @functools.cached_property
    def _table(self) -> dict[str, str]:
        return {entry["file"]: entry["sha256"] for entry in self.manifest.shards}

    def missing(self) -> list[Shard]:
        """Return the shards that are not written yet.

        One whose checksum nobody wrote down is none: what should be in it, nobody knows.
        """
        there = {entry.name for entry in os.scandir(self.path)}
        return [
            shard
            for shard in self.shards()
            if shard.file not in there or self.checksum_of(shard) is None
        ]

    def is_missing(self, shard: Shard) -> bool:
        """Return whether a shard is not written yet, as `missing`, by what is on disk now."""
        if not self.file(shard).exists():
            return True
        if self.checksum_of(shard) is not None:
            return False
        # Another process may have finished the recording: then the table has it.
        now = read_manifest(self.path)
        return now is None or RecordingFolder(self.path, now).checksum_of(shard) is None

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

    def refuse_damaged(self, again: bool = False) -> None:
        """Raise `ValueError` if a file that is there is not the one that was written.

        Args:
            again: Whether to read too what was read before and has not changed since.
        """
        checksums = {
            path: known
            for shard in self.shards()
            if (path := self.file(shard)).exists() and (known := self.checksum_of(shard))
        }
        wrong = damaged(self.path, checksums, again)
        if wrong is not None:
            raise ValueError(
                f"{str(wrong)!r} is damaged: its SHA-256 is not the one that was written with it. "
                "Delete it and record again into the same folder, which writes that file alone."
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
    except Exception as error:  # NumPy's readers have many of their own
        raise ValueError(
            f"{str(path)!r} cannot be read: {error}. Delete it and record again."
        ) from error
    if rows.dtype != dtype or rows.ndim != 1:
        raise ValueError(
            f"{str(path)!r} must hold rows of {dtype}. Received: {rows.dtype} of shape "
            f"{rows.shape}. Delete it and record again."
        )
    return rows
