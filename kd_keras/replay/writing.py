"""Who writes which file of a recording, and when all are there."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kd_keras.lock import HeldError, held_lock
from kd_keras.replay.folder import RecordingFolder, Shard, rows_in
from kd_keras.replay.manifest import MANIFEST, Manifest, read_manifest
from kd_keras.replay.policies import PROBE
from kd_keras.whole_file import checksum, remove_unfinished, written_beside

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
        remove_unfinished(recording.path, shard.file)
        yield not (recording.path / shard.file).exists()


def write_rows(recording: RecordingFolder, shard: Shard, rows: np.ndarray) -> None:
    """Write a shard, whole or not at all."""
    with written_beside(recording.path / shard.file) as beside:
        np.save(beside, rows, allow_pickle=False)


def finish(recording: RecordingFolder, written: Collection[str] = ()) -> RecordingFolder:
    """Enter the files into the manifest's table, if all are there; return what is on disk.

    Args:
        recording: What to finish.
        written: Files that are new, whatever the table says of them.

    Raises:
        ValueError: If a file does not hold rows of this recording.
    """
    with _manifest_lock(recording.path):
        manifest = read_manifest(recording.path) or recording.manifest
        recording = RecordingFolder(recording.path, manifest)
        if recording.missing():
            return recording
        known = {e["file"]: e for e in manifest.shards if e["file"] not in written}
        table = [known.get(s.file) or _entry(recording, s) for s in recording.shards()]
        if table != list(manifest.shards):
            manifest = dataclasses.replace(manifest, shards=tuple(table))
            manifest.write(recording.path)
        return RecordingFolder(recording.path, manifest)


def join_or_begin(path: Path, manifest: Manifest) -> RecordingFolder:
    """Return the recording in a folder, begun with `manifest` where there is none.

    More epochs than there were are added to it; fewer change nothing.

    Raises:
        ValueError: If the folder holds another recording, or something else.
    """
    with _manifest_lock(path):
        there = read_manifest(path)
        if there is None:
            strangers = sorted(p.name for p in path.iterdir() if not p.name.startswith("."))
            if set(strangers) - {PROBE}:
                raise ValueError(
                    f"{str(path)!r} is not empty and holds no recording. Received: a folder with "
                    f"{strangers[:5]}. Nothing in it is touched. Choose another folder."
                )
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


@contextlib.contextmanager
def _manifest_lock(path: Path) -> Iterator[None]:
    """Wait for the moment in which no other process changes the manifest."""
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(held_lock(path, _LOCK))
            except HeldError:
                time.sleep(_POLL_SECONDS)
            else:
                break
        remove_unfinished(path, MANIFEST)
        yield


def _entry(recording: RecordingFolder, shard: Shard) -> dict[str, Any]:
    path = recording.path / shard.file
    return {
        "file": shard.file,
        "epoch": shard.epoch,
        "first_step": shard.epoch * recording.manifest.steps_per_epoch + shard.first,
        "steps": shard.steps,
        "rows": len(rows_in(path, recording.manifest.rows.dtype)),
        "sha256": checksum(path),
    }
