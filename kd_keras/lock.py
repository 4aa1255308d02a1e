"""One process at a time in a folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kd_keras.regular_file import open_regular
from kd_keras.whole_file import UnwritableError

if TYPE_CHECKING:
    import filelock

LOCK = ".lock"
# Windows keeps the first byte of a locked file from everybody else.
_OWNER_AT = 1


class HeldError(ValueError):
    """Another process holds the lock."""


@contextlib.contextmanager
def held_lock(folder: Path, name: str = LOCK, *, leave: bool = True) -> Iterator[None]:
    """Hold the lock of a folder. The system lets go of it when the process ends, however it ends.

    Args:
        folder: An existing folder that can be written.
        name: Of the file that carries the lock, where a folder has several.
        leave: Whether that file stays when the lock is given back.

    Raises:
        HeldError: If another process holds it.
        UnwritableError: If the folder is gone or the file cannot be made.
    """
    path = folder / name
    if not folder.is_dir():  # `filelock` would make it
        raise UnwritableError.of(path, FileNotFoundError())
    lock = _acquired(path)
    try:
        _note_owner(path)
        yield
    finally:
        # Windows removes no file that is open, and `filelock` does it there after the release.
        if not leave and os.name == "posix":
            path.unlink(missing_ok=True)
        lock.release()


def _acquired(path: Path) -> filelock.BaseFileLock:
    import filelock  # a tenth of a second, which `kd-keras --help` need not take

    lock = filelock.FileLock(path)
    while True:
        try:
            lock.acquire(blocking=False)
            return lock
        except filelock.Timeout as error:
            # A process that left may have removed the file in between.
            if path.exists():
                raise HeldError(
                    f"Another process (id {_owner(path)}) works in {str(path.parent)!r}. Wait "
                    "until it is done, or choose another folder with --output."
                ) from error
        except OSError as error:
            raise UnwritableError.of(path, error) from error


def _note_owner(path: Path) -> None:
    # For the message alone: a disk without room for a number is told by what is written next.
    with contextlib.suppress(OSError), open(path, "r+b", buffering=0) as file:
        file.truncate(_OWNER_AT)
        file.seek(_OWNER_AT)
        file.write(str(os.getpid()).encode())


def _owner(path: Path) -> str:
    with contextlib.suppress(OSError), open_regular(path) as file:
        file.seek(_OWNER_AT)
        return file.read(32).decode(errors="replace") or "unknown"
    return "unknown"
