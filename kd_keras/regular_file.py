"""A file that may be a stranger's. Below every room: whoever is given a path opens it so."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file to read its bytes, and nothing that only looks like one.

    Whoever opens a FIFO waits until another process writes into it, and a device such as /dev/zero
    never ends.

    Args:
        path: A regular file, or a link to one.

    Raises:
        OSError: If there is none, it cannot be read, or it is a folder, a FIFO, a device or a
            socket; `strerror` says which.

    Example:

    >>> from kd_keras.regular_file import open_regular
    >>> open("labels.txt", "w").write("cat")
    3
    >>> with open_regular("labels.txt") as file:
    ...     file.read()
    b'cat'
    """
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - the caller's to close
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "It is a FIFO or a device, not a file", os.fspath(path))
    return file


def read_text(path: str | os.PathLike[str], most: int | None = None) -> str:
    """Return the text of a regular file in UTF-8.

    Args:
        path: The file.
        most: How many bytes are read at most; None for all.

    Raises:
        OSError: As `open_regular`, or if the file is larger than `most`.
        UnicodeDecodeError: If it is no UTF-8.
    """
    with open_regular(path) as file:
        content = file.read() if most is None else file.read(most + 1)
    if most is not None and len(content) > most:
        raise OSError(
            errno.EFBIG, f"It is larger than {most:,} bytes, the most that is read", os.fspath(path)
        )
    return content.decode("utf-8")


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
