"""A text file that appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def write_whole(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` beside `path` and rename it, so that no reader ever sees half of it.

    Raises:
        ValueError: If the folder is missing or cannot be written.
    """
    target = Path(path)
    beside = target.parent / f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.partial"
    try:
        # "x" and not `tempfile`: the file gets the permissions that the user's umask asks for.
        with open(beside, "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    except OSError as error:
        raise ValueError(
            f"Cannot write the file: {error.strerror}. Name a file in an existing folder that you "
            f"may write to. Received: path={str(path)!r}"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()
