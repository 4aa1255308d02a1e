"""A file that appears whole or not at all. Below every room: whoever writes a file writes it so."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

# With this begins the name of an unfinished file, which a killed process leaves behind.
PARTIAL = ".partial-"


@contextlib.contextmanager
def written_beside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty file beside `path` that takes its place when the block ends well.

    When the block raises, the new file is removed and `path` stays as it was. The file is made at
    once, so a folder that cannot be written is known before any work is done. Its name ends as
    that of `path`: Keras and NumPy choose formats by the suffix.

    Args:
        path: Where the file is to appear, in an existing folder.

    Raises:
        ValueError: If `path` cannot be a file: its folder is missing or cannot be written, or it is
            a folder itself.
        OSError: If the disk is full.
    """
    target, beside = _begun(path)
    try:
        yield beside
        with open(beside, "rb") as written:
            os.fsync(written.fileno())  # a rename may reach the disk before the data does
        os.replace(beside, target)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


def refuse_unwritable(path: str | os.PathLike[str]) -> None:
    """Raise where `written_beside` could not begin, before the work whose result it would hold.

    Args:
        path: As for `written_beside`.

    Raises:
        ValueError: As `written_beside`.
    """
    _begun(path)[1].unlink()


def _begun(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Return the file that is to appear, and an empty one beside it."""
    # Through a link as any writer: the file that it names is written, and the link stays.
    target = Path(os.path.realpath(path)) if os.path.islink(path) else Path(path)
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
    beside = target.parent / f"{PARTIAL}{os.getpid()}-{secrets.token_hex(4)}-{Path(path).name}"
    try:
        # "x" and not `tempfile`: the file gets the permissions that the user's umask asks for.
        with open(beside, "xb"):
            pass
    except OSError as error:
        raise ValueError(
            f"Cannot write into the folder of `path`: {error.strerror}. Choose a folder that you "
            f"may write to. Received: path={str(path)!r}"
        ) from error
    return target, beside


def write_whole(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path`, in UTF-8 with "\\n" at the end of lines, whole or not at all.

    Args:
        path: As for `written_beside`.
        text: All of it.

    Raises:
        ValueError: As `written_beside`.
        OSError: If the disk is full.
    """
    with written_beside(path) as beside, open(beside, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
