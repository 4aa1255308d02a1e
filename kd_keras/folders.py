"""A folder to write into. Below every room."""

from __future__ import annotations

import os
from pathlib import Path


def made_folder(path: str | os.PathLike[str], argument: str, remedy: str) -> Path:
    """Return the folder, made with those above it where it is not yet.

    Args:
        path: The folder.
        argument: What the error calls it.
        remedy: What the error recommends.

    Raises:
        ValueError: If it cannot be made.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"`{argument}` cannot be made a folder: {error.strerror}. {remedy} "
            f"Received: {argument}={str(path)!r}"
        ) from error
    return folder
