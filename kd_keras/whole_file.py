"""A file that appears whole or not at all. Below every room: whoever writes a file writes it so."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kd_keras.regular_file import open_regular

# With this begins the name of an unfinished file, which a killed process leaves behind.
PARTIAL = ".partial-"

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What reading never ends with, so that it is of the file that is being written.
_OF_WRITING = (*_FULL, errno.EROFS)


class UnwritableError(OSError, ValueError):
    """A file cannot be written: its folder is gone or may not be written, or its disk is full.

    Attributes:
        errno: The system's number for the reason.
        strerror: The system's words for it.
        path: The file.
    """

    def __init__(self, text: str, path: Path = Path(), reason: int | None = None):
        super().__init__(text)  # alone, so that it can be sent to another process
        self.errno = reason
        self.strerror = None if reason is None else os.strerror(reason)
        self.path = path

    def __str__(self) -> str:
        return str(self.args[0])  # without the number, which tells a person nothing

    @classmethod
    def of(
        cls, path: Path, error: BaseException, least: int | None = None, written: int = 0
    ) -> UnwritableError:
        """Return the error for a file that `error` keeps from being written.

        Args:
            path: The file.
            error: What the system, or a library that writes, said.
            least: Bytes that the file needs at least, where that is known.
            written: Bytes of it that there was room for.
        """
        reason = _reason(error)
        folder = path.parent
        if not folder.is_dir():
            reason = errno.ENOENT
            text = f"The folder of `path` is gone: {str(folder)!r}. Put it back, or choose another"
        elif reason in _FULL:
            needed = f"at least {least:,}" if least else f"more than {written:,}"
            free = _free(folder) + written  # what was written of it is removed
            text = (
                f"`path` cannot be written: {os.strerror(reason)}. It needs {needed} bytes, and "
                f"{free:,} are free. Make room, or choose a folder on another disk"
            )
        else:
            why = str(error) if reason is None else os.strerror(reason)
            text = (
                f"Cannot write into the folder of `path`: {why}. Choose a folder that you may "
                "write to"
            )
        return cls(f"{text}, and do the same again. Received: path={str(path)!r}", path, reason)


def _reason(error: BaseException) -> int | None:
    number = getattr(error, "errno", None)
    if isinstance(number, int):
        return number
    # HDF5 and TensorFlow raise errors of their own, with the system's words in them.
    return next((n for n in _OF_WRITING if os.strerror(n) in str(error)), None)


def _free(folder: Path) -> int:
    with contextlib.suppress(OSError):
        return shutil.disk_usage(folder).free
    return 0


@contextlib.contextmanager
def written_beside(path: str | os.PathLike[str], least: int | None = None) -> Iterator[Path]:
    """Yield an empty file beside `path` that takes its place when the block ends well.

    When the block raises, the new file is removed and `path` stays as it was. The file is made at
    once, so a folder that cannot be written is known before any work is done. Its name ends as
    that of `path`: Keras and NumPy choose formats by the suffix.

    Args:
        path: Where the file is to appear, in an existing folder.
        least: Bytes that it needs at least, where that is known, for the error of a full disk.

    Raises:
        ValueError: If `path` is a folder itself, a FIFO or a device.
        UnwritableError: If its folder is missing, cannot be written or goes away, or the disk is
            full. It is a ValueError and an OSError.
    """
    target, beside = _begun(path)
    try:
        yield beside
        with open(beside, "rb") as written:
            os.fsync(written.fileno())  # a rename may reach the disk before the data does
        os.replace(beside, target)
    except UnwritableError:
        raise
    except Exception as error:
        # What else goes wrong in the block, such as data that cannot be read, is not of this file.
        if reason_not_written(error) is None and target.parent.is_dir():
            raise
        raise UnwritableError.of(target, error, least, _size(beside)) from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a folder where the system keeps temporary files; it is removed when the block ends.

    Raises:
        UnwritableError: If the disk is full there.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            yield folder
        except Exception as error:
            number = reason_not_written(error)
            if number is None or isinstance(error, UnwritableError):
                raise
            raise UnwritableError(
                f"A temporary file cannot be written: {os.strerror(number)}. In "
                f"{str(folder.parent)!r} {_free(folder):,} bytes are free. Make room there, or "
                "name another place with the environment variable TMPDIR, and do the same again.",
                folder,
                number,
            ) from error


def reason_not_written(error: BaseException) -> int | None:
    """Return the system's number for why a file cannot be written, None for other errors."""
    number = _reason(error)
    return number if number in _OF_WRITING else None


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def refuse_unwritable(path: str | os.PathLike[str]) -> None:
    """Raise where `written_beside` could not begin, before the work whose result it would hold.

    Args:
        path: As for `written_beside`.

    Raises:
        ValueError: As `written_beside`.
    """
    _begun(path)[1].unlink()


def _begun(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Return the file that is to appear, and an empty one beside it."""
    # Through a link as any writer: the file that it names is written, and the link stays.
    target = Path(os.path.realpath(path)) if os.path.islink(path) else Path(path)
    if target.is_dir():
        raise ValueError(
            "`path` must name a file, such as 'student.tflite', but it is a folder. "
            f"Received: path={str(path)!r}"
        )
    if target.exists() and not target.is_file():
        raise ValueError(
            "`path` must name a file, and it is a FIFO or a device, whose place a file would take. "
            f"Received: path={str(path)!r}. Choose another."
        )
    if not target.parent.is_dir():
        raise UnwritableError(
            f"The folder of `path` does not exist: {str(target.parent)!r}. Create it first "
            f"(`pathlib.Path(path).parent.mkdir(parents=True)`). Received: path={str(path)!r}",
            Path(path),
            errno.ENOENT,
        )
    beside = target.parent / f"{PARTIAL}{os.getpid()}-{secrets.token_hex(4)}-{Path(path).name}"
    try:
        # "x" and not `tempfile`: the file gets the permissions that the user's umask asks for.
        with open(beside, "xb"):
            pass
    except OSError as error:
        raise UnwritableError.of(Path(path), error) from error
    return target, beside


def write_whole(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path`, in UTF-8 with "\\n" at the end of lines, whole or not at all.

    Args:
        path: As for `written_beside`.
        text: All of it.

    Raises:
        ValueError: As `written_beside`.
        UnwritableError: As `written_beside`.
    """
    content = text.encode("utf-8")
    with written_beside(path, len(content)) as beside:
        beside.write_bytes(content)


def remove_unfinished(folder: Path, name: str = "") -> None:
    """Remove the unfinished files that killed processes left in a folder.

    Args:
        folder: A folder in which nobody else writes them now.
        name: The file that they were to become; all where it is left out.
    """
    for left in folder.iterdir():
        if left.name.startswith(PARTIAL) and left.name.endswith(f"-{name}" if name else ""):
            with contextlib.suppress(OSError):
                left.unlink()


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
