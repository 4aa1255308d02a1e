"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial-"


@contextmanager
def appearing_whole(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to, and rename it to `path` when all went well.

    A process that is killed on the way leaves `path` as it was, and beside it a file whose name
    begins with `PARTIAL`, which the next attempt overwrites. The suffix is kept: Keras and NumPy
    choose formats by it.

    Args:
        path: Where the file is to appear.
    """
    partial = path.with_name(PARTIAL + path.name)
    try:
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())  # a rename may reach the disk before the data does
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, which appears whole or not at all."""
    with appearing_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")
