"""Which files of a folder are its images, told without TensorFlow and without reading them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

# What is read of the folder of a class.
SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})


def is_hidden(path: Path) -> bool:
    """Whether a file or folder is nobody's data, such as .DS_Store or macOS's ._photo.jpg."""
    return path.name.startswith(".")


# What `fingerprint` said of a folder of classes alone before it looked into them.
OF_NO_IMAGES = hashlib.sha256().hexdigest()


def fingerprint(folder: str | os.PathLike[str]) -> str:
    """Return a digest of the names and sizes of the images in a folder.

    The images themselves are not read: a finished run, which is shown at once, must not wait for
    gigabytes. An image that was changed without a change of its size is not noticed.

    Args:
        folder: A folder laid out as <split>/<class>/<image>, or <class>/<image>.

    Returns:
        A SHA-256 digest, hexadecimal; the same wherever the folder lies.
    """
    folder = Path(folder)
    digest = hashlib.sha256()
    paths = {path.relative_to(folder).as_posix(): path for path in _of_depth_2_or_3(folder)}
    for name, path in sorted(paths.items()):
        is_seen = not any(part.startswith(".") for part in name.split("/"))
        if path.suffix.lower() in SUFFIXES and is_seen and path.is_file():
            digest.update(f"{name}\0{path.stat().st_size}\0".encode())
    return digest.hexdigest()


def holds_instead(folder: Path, suffix: str) -> bool:
    """Whether a folder has files with an ending where images of classes would be, and no images."""
    visible = (path for path in _of_depth_2_or_3(folder) if not is_hidden(path))
    suffixes = {path.suffix.lower() for path in visible}
    return suffix in suffixes and suffixes.isdisjoint(SUFFIXES)


def _of_depth_2_or_3(folder: Path) -> Iterator[Path]:
    yield from folder.glob("*/*")
    yield from folder.glob("*/*/*")
