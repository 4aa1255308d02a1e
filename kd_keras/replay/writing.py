"""Who writes which file of a recording, and when all are there."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from kd_keras.folders import refuse_links_out
from kd_keras.lock import HeldError, held_lock
from kd_keras.replay.folder import RecordingFolder, rows_in
from kd_keras.replay.manifest import MANIFEST, Manifest, Shard, read_manifest
from kd_keras.replay.policies import PROBE
from kd_keras.replay.verified import NOTE
from kd_keras.whole_file import remove_unfinished, write_whole, written_beside

_LOCK = ".manifest.lock"
_POLL_SECONDS = 0.05


class Busy(Exception):
    """Another process writes this shard."""


@contextlib.contextmanager
def claimed(recording: RecordingFolder, shard: Shard) -> Iterator[bool]:
    """Give a shard to this process alone, and say whether it is still to be written.

    Raises:
        Busy: If another process has it.
    """
    lock = f".{shard.file}.lock"
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(held_lock(recording.path, lock, leave=False))
        except HeldError as error:
            raise Busy(str(error)) from error
        # A killed process let go of the lock and left what it had begun.
        for file in (recording.file(shard), recording.checksum_file(shard)):
            remove_unfinished(recording.path, file.name)
        yield recording.is_missing(shard)


def write_rows(recording: RecordingFolder, shard: Shard, rows: np.ndarray) -> None:
    """Write a shard, whole or not at all, and before it appears its checksum."""
    with written_beside(recording.file(shard), rows.nbytes) as beside:
        with open(beside, "wb") as file:
            summed = _Summed(file)
            np.save(summed, rows, allow_pickle=False)
        write_whole(recording.checksum_file(shard), f"{summed.checksum()}  {shard.file}\n")


class _Summed:
    """A file that knows the SHA-256 of what it was given, whatever the disk makes of it."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        return self._file.write(data)

    def checksum(self) -> str:
        return self._digest.hexdigest()


def finish(recording: RecordingFolder) -> RecordingFolder:
    """Enter the files into the manifest's table, if all are there; return what is on disk.

    Args:
        recording: What to finish.

    Raises:
        ValueError: If a file is not what was written, or does not hold rows of this recording.
    """
    with manifest_lock(recording.path):
        manifest = read_manifest(recording.path) or recording.manifest
        recording = RecordingFolder(recording.path, manifest)
        if recording.missing():
            return recording
        recording.refuse_damaged()
        known = {(e["file"], e["sha256"]): e for e in manifest.shards}
        table = tuple(
            known.get((shard.file, recording.checksum_of(shard))) or _entry(recording, shard)
            for shard in recording.shards()
        )
        if table != manifest.shards:
            manifest = dataclasses.replace(manifest, shards=table)
            manifest.write(recording.path)
        for shard in recording.shards():
            recording.checksum_file(shard).unlink(missing_ok=True)
        return RecordingFolder(recording.path, manifest)


def join_or_begin(path: Path, manifest: Manifest) -> RecordingFolder:
    """Return the recording in a folder, begun with `manifest` where there is none.

    More epochs than there were are added to it; fewer change nothing.

    Raises:
        ValueError: If the folder holds another recording, or something else.
    """
    refuse_links_out(path)
    _refuse_strangers(path)  # before a lock is left in a folder that is none of ours
    with manifest_lock(path):
        there = read_manifest(path)
        if there is None:
            _refuse_strangers(path)
            manifest.write(path)
            return RecordingFolder(path, manifest)
        found = there.differences(manifest)
        if found:
            raise ValueError(
                f"{str(path)!r} holds another recording: {'; '.join(found)}. Choose another "
                "folder, or delete that one."
            )
        if manifest.epochs > there.epochs:
            there = dataclasses.replace(there, epochs=manifest.epochs)
            there.write(path)
        return RecordingFolder(path, there)


def _refuse_strangers(path: Path) -> None:
    strangers = sorted(p.name for p in path.iterdir() if not p.name.startswith("."))
    if MANIFEST not in strangers and set(strangers) - {PROBE}:
        raise ValueError(
            f"{str(path)!r} is not empty and holds no recording. Received: a folder with "
            f"{strangers[:5]}. Nothing in it is touched. Choose another folder."
        )


@contextlib.contextmanager
def manifest_lock(path: Path) -> Iterator[None]:
    """Wait for the moment in which no other process changes the manifest, or writes the probe."""
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(held_lock(path, _LOCK))
            except HeldError:
                time.sleep(_POLL_SECONDS)
            else:
                break
        for name in (MANIFEST, PROBE, NOTE):
            remove_unfinished(path, name)
        yield


def _entry(recording: RecordingFolder, shard: Shard) -> dict[str, Any]:
    manifest = recording.manifest
    rows = len(rows_in(recording.file(shard), manifest.rows.dtype))
    return manifest.entry(shard, rows, recording.checksum_of(shard) or "")
