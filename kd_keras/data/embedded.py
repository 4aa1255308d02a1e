"""Open the embedded dataset, preparing it on first use."""

from __future__ import annotations

import atexit
import contextlib
import functools
import shutil
import tempfile
import warnings
from pathlib import Path

import tensorflow_datasets as tfds

from kd_keras.data.digits import Digits
from kd_keras.data.storage import check_writable, missing_files, quiet


def open_digits(data_dir: Path | None) -> tfds.core.DatasetBuilder:
    """Return the prepared builder of `digits`.

    Preparation takes about a second, in a folder beside that is renamed at the end. Data that are
    not whole (a copy that was cut short, say) are replaced. Of two processes that prepare at once,
    the second to finish takes what the first one left.

    Args:
        data_dir: Root folder of TFDS data. None means TFDS's default (`~/tensorflow_datasets` or
            `TFDS_DATA_DIR`), and where that cannot be written a folder that goes with the process.

    Raises:
        ValueError: If `data_dir` cannot be written and holds no prepared digits.
    """
    root = data_dir or Path(tfds.core.constants.DATA_DIR).expanduser()
    builder = _prepared(root)
    if builder is not None:
        return builder
    try:
        check_writable(root)
    except ValueError:
        if data_dir is not None:
            raise
        warnings.warn(
            f"TFDS's default folder {str(root)!r} cannot be written, so the digits are prepared in "
            "a temporary folder that goes with this process. Pass `data_dir=...` or set "
            "TFDS_DATA_DIR to keep them.",
            stacklevel=3,
        )
        root = _temporary_root()
    return _prepare(root)


def _prepare(root: Path) -> tfds.core.DatasetBuilder:
    # TFDS writes to a folder whose random name comes from Python's global generator: two processes
    # under one seed would write into each other's. Hence a folder of our own first.
    with tempfile.TemporaryDirectory(prefix="preparing_digits_", dir=root) as staging, quiet():
        Digits(data_dir=staging).download_and_prepare(
            download_config=tfds.download.DownloadConfig(try_download_gcs=False)
        )
        if _prepared(root) is None:
            _put_in_place(_folder(Path(staging)), _folder(root))
    builder = _prepared(root)
    if builder is None:
        raise RuntimeError(
            f"The digits were prepared in {str(root)!r} and are not whole there. Something else "
            "writes to that folder; pass another one with `data_dir=...`."
        )
    return builder


def _put_in_place(prepared: Path, folder: Path) -> None:
    """Rename `prepared` to `folder`, which holds nothing or something damaged."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):  # Most often there is nothing to put aside.
        folder.rename(prepared.with_name("damaged"))
    with contextlib.suppress(OSError):  # Another process was faster; its data are the same.
        prepared.rename(folder)


def _prepared(root: Path) -> tfds.core.DatasetBuilder | None:
    if not (_folder(root) / "dataset_info.json").is_file():
        return None
    try:
        builder = Digits(data_dir=root)
        lacking = missing_files(builder)
    except Exception:
        # Half-written metadata fails in TFDS, in JSON or in protocol buffers, each with exceptions
        # of its own. Preparing again repairs them all.
        return None
    return None if lacking else builder


def _folder(root: Path) -> Path:
    return root / "digits" / str(Digits.VERSION)


@functools.cache
def _temporary_root() -> Path:
    root = Path(tempfile.mkdtemp(prefix="kd_keras_"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return root
