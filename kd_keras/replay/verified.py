"""Whether files are what was written, without reading again what was read and has not changed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kd_keras.folders import file_inside
from kd_keras.json_text import read_json
from kd_keras.whole_file import checksum, write_whole

# What was read in a folder: of each file its size, when it was changed, and its checksum.
NOTE = ".verified.json"


def damaged(folder: Path, checksums: Mapping[Path, str], again: bool = False) -> Path | None:
    """Return the first file in a folder whose SHA-256 is another one, or None.

    Args:
        folder: The folder, which keeps a note of what was read, where it can be written.
        checksums: Hexadecimal, by file.
        again: Whether to read too what was read before and has not changed.

    Raises:
        OSError: If a file cannot be read.
    """
    known = {} if again else _noted(folder)
    found = {}
    for path, expected in checksums.items():
        status = path.stat()
        # A program may set the time of a change back; that of the entry, none can.
        state = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, expected]
        if known.get(path.name) != state and checksum(path) != expected:
            return path
        found[path.name] = state
    if found != known:
        with contextlib.suppress(OSError, ValueError):  # it is read again, then
            write_whole(file_inside(folder, NOTE), json.dumps(found))
    return None


def _noted(folder: Path) -> dict[str, Any]:
    try:
        note = read_json(file_inside(folder, NOTE))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}
