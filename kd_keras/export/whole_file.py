"""A file that appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written_beside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty file beside `path` that takes its place when the block ends well.

    When the block raises, the new file is removed and `path` stays as it was. The file is made at
    once, so a folder that cannot be written is known before any work is done.

    Raises:
        ValueError: If `path` cannot be a file: its folder is missing or cannot be written, or it is
            a folder itself.
    """
    target = Path(path)
    if target.is_dir():
        raise ValueError(
            "`path` must name a file, such as 'student.tflite', but it is a folder. "
            f"Received: path={str(path)!r}"
        )
    if not target.parent.is_dir():
        raise ValueError(
            f"The folder of `path` does not exist: {str(target.parent)!r}. Create it first "
            f"(`pathlib.Path(path).parent.mkdir(parents=True)`). Received: path={str(path)!r}"
        )
    beside = target.parent / f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.partial"
    try:
        # "x" and not `tempfile`: the file gets the permissions that the user's umask asks for.
        with open(beside, "xb"):
            pass
    except OSError as error:
        raise ValueError(
            f"Cannot write into the folder of `path`: {error.strerror}. Choose a folder that you "
            f"may write to. Received: path={str(path)!r}"
        ) from error
    try:
        yield beside
        os.replace(beside, target)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


def write_synced(path: Path, content: bytes) -> None:
    """Write `content` and wait until the disk has it."""
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
