"""The checksum at the end of an archive: whether every byte of it is what was written."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path
from typing import BinaryIO

from kd_keras.regular_file import open_regular

# Hexadecimal, of SHA-256, as the comment with which a zip archive ends.
_DIGITS = 64
_BLOCK = 2**20


def seal(path: Path) -> None:
    """Write its checksum at the end of a zip archive."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"0" * _DIGITS
    with open(path, "r+b") as file:
        file.write(_digest(file))


def is_whole(path: Path) -> bool:
    """Return whether a file ends with the checksum of all that precedes it."""
    with open_regular(path) as file:
        return _digest(file) == file.read()


def _digest(file: BinaryIO) -> bytes:
    """Return the checksum of a file but for its last digits, before which it then stands."""
    left = max(0, file.seek(0, os.SEEK_END) - _DIGITS)
    file.seek(0)
    digest = hashlib.sha256()
    while left:
        block = file.read(min(left, _BLOCK))
        if not block:
            break
        digest.update(block)
        left -= len(block)
    return digest.hexdigest().encode()
