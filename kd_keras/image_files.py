"""Which files of a folder are its images, told without TensorFlow and without reading them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

# What is read of <folder>/<split>/<class>/.
SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})


def is_hidden(path: Path) -> bool:
    """Whether a file or folder is nobody's data, such as .DS_Store or macOS's ._photo.jpg."""
    return path.name.startswith(".")


def fingerprint(folder: str | os.PathLike[str]) -> str:
    """Return a digest of the names and sizes of the images in a folder.

    The images themselves are not read: a finished run, which is shown at once, must not wait for
    gigabytes. An image that was changed without a change of its size is not noticed.

    Args:
        folder: A folder laid out as <split>/<class>/<image>.

    Returns:
        A SHA-256 digest, hexadecimal; the same wherever the folder lies.
    """
    folder = Path(folder)
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*/*/*"), key=lambda path: path.relative_to(folder).as_posix()):
        hidden = any(map(is_hidden, (path, path.parent, path.parent.parent)))
        if path.suffix.lower() in SUFFIXES and not hidden:
            name = path.relative_to(folder).as_posix()
            digest.update(f"{name}\0{path.stat().st_size}\0".encode())
    return digest.hexdigest()
