"""Open the embedded dataset, preparing it on first use."""

from __future__ import annotations

import atexit
import contextlib
import functools
import shutil
import tempfile
import uuid
import warnings
from pathlib import Path

import tensorflow_datasets as tfds

from kd_keras.data.digits import Digits
from kd_keras.data.storage import check_writable, missing_files, quiet


def open_digits(data_dir: Path | None) -> tfds.core.DatasetBuilder:
    """Return the prepared builder of `digits`.

    Preparation takes about a second. TFDS writes beside and renames, so a folder that exists is
    whole; one that is not (a copy that was cut short, say) is put aside and prepared again. Of two
    processes that prepare at once, the second to finish takes what the first one left.

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
    _put_aside(_folder(root))
    try:
        with quiet():
            Digits(data_dir=root).download_and_prepare(
                download_config=tfds.download.DownloadConfig(try_download_gcs=False)
            )
    except OSError:
        # The rename fails where another process has put the same data there in the meantime.
        if _prepared(root) is None:
            raise
    builder = _prepared(root)
    if builder is None:
        raise RuntimeError(
            f"The digits were prepared in {str(root)!r} and are not whole there. Something else "
            "writes to that folder; pass another one with `data_dir=...`."
        )
    return builder


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


def _put_aside(folder: Path) -> None:
    # Rename first: it is atomic, so no other process sees a folder that is being emptied.
    aside = folder.with_name(f"damaged-{uuid.uuid4().hex}")
    with contextlib.suppress(OSError):
        folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


@functools.cache
def _temporary_root() -> Path:
    root = Path(tempfile.mkdtemp(prefix="kd_keras_"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return root
