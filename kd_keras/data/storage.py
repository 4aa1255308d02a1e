"""Where prepared data lies: is it whole, can it be written, does TFDS talk while it works."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import tensorflow_datasets as tfds


def check_writable(folder: Path) -> None:
    """Create `folder` where it is missing and prove that a file can be written in it.

    Raises:
        ValueError: If it cannot, naming `data_dir` and the remedy.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            "`data_dir` must be a folder that this process can write to, because the dataset is "
            f"not prepared there yet. Received: data_dir={str(folder)!r} ({error}). Choose another "
            "folder with `data_dir=...`, or one that holds the prepared data already."
        ) from error


def missing_files(builder: tfds.core.DatasetBuilder) -> list[str]:
    """Return what a prepared dataset lacks: files absent, or shorter than the examples in them."""
    folder = Path(builder.data_dir)
    if not (folder / "dataset_info.json").is_file():
        return ["dataset_info.json"]
    lacking = []
    for split in builder.info.splits.values():
        files = [Path(os.fspath(path)) for path in split.filepaths]
        absent = [path.name for path in files if not path.is_file()]
        lacking += absent
        # Only plain records are known to take at least the bytes of their examples.
        is_plain = builder.info.file_format == tfds.core.FileFormat.TFRECORD
        if is_plain and not absent and sum(p.stat().st_size for p in files) < split.num_bytes:
            lacking.append(f"the end of split {split.name!r}")
    return lacking


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep TFDS's progress bars and prints off the terminal; exceptions still get through."""
    sink = io.StringIO()
    with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        yield
