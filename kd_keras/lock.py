"""One process at a time in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: no such lock, two runs in one folder are up to the user
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"


@contextmanager
def held_lock(folder: Path, name: str = LOCK) -> Iterator[None]:
    """Hold the lock of a folder. The system lets go of it when the process ends, however it ends.

    Args:
        folder: An existing folder that can be written.
        name: Of the file that carries the lock, where a folder has several.

    Raises:
        ValueError: If another process holds it.
    """
    if fcntl is None:
        yield
        return
    descriptor = _acquire(folder / name)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        os.close(descriptor)


def _acquire(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            current = path.stat().st_ino
        except BlockingIOError as error:
            owner = os.read(descriptor, 32).decode(errors="replace") or "unknown"
            os.close(descriptor)
            raise ValueError(
                f"Another process (id {owner}) works in {str(path.parent)!r}. Wait until it is "
                "done, or choose another folder with --output."
            ) from error
        except FileNotFoundError:
            current = None
        # A process that left may have removed the file in between; its lock would guard nothing.
        if current == os.fstat(descriptor).st_ino:
            return descriptor
        os.close(descriptor)
