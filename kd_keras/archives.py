"""Zip archives that may be a stranger's: `.keras`, `.npz`, and what lies behind a `.tflite`.

Some bytes of such a file can stand for gigabytes, and its table of contents can lie about that. So
it is looked through before anything is unpacked. Below every room: whoever opens one opens it so.
"""

from __future__ import annotations

import contextlib
import copy
import io
import math
import os
import struct
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from kd_keras.regular_file import open_regular

# What is packed may unpack to this in any case, and else to so many times its packed size. Networks
# and arrays are usually stored as they are, and packed weights rarely shrink to a tenth.
_FREE_BYTES = 2**26
_MOST_TIMES = 100
_MOST_MEMBERS = 100_000
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1
_LENGTHS = 26  # where a member's own header has the lengths of its name and of what follows it
_BLOCK = 2**20
_WEIGHTS = ("model.weights.h5", "model.weights.npz")
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Return a member of an archive.

    Args:
        archive: The archive.
        name: Which member.
        most: How many bytes it may have, declared or in truth.

    Raises:
        KeyError: If there is no such member.
        ValueError: If it is larger, or packed in an unusual way.
        zipfile.BadZipFile: If it is damaged.
    """
    info = archive.getinfo(name)
    _refuse_packing(info)
    with archive.open(info) as member:
        content = member.read(most + 1)
    if max(info.file_size, len(content)) > most:
        raise ValueError(
            f"{name!r} in it would unpack to {info.file_size:,} bytes, and at most {most:,} are "
            "read"
        )
    return content


@contextlib.contextmanager
def arrays_in(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Give the arrays in a `.npz` file by their names, as `numpy.load` does, without pickles.

    Args:
        path: The file.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no archive, a damaged one or one that would unpack to far more than is
            packed in it, or its arrays declare other sizes than they have.
    """
    with open_regular(path) as file:
        with _opened(file) as archive:
            _refuse_false_arrays(archive)
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            yield arrays


def refuse_bad_network(path: Path) -> None:
    """Raise unless a `.keras` file is whole and unpacks to about what is in it, weights included.

    Args:
        path: The file, of which no more than a block is in memory at a time.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no archive, a damaged one, or would unpack to far more.
    """
    with open_regular(path) as file, _opened(file) as archive:
        broken = archive.testzip()
        if broken is not None:
            raise ValueError(f"{broken!r} in it is not what its checksum says")
        for name in set(_WEIGHTS) & set(archive.namelist()):
            with _seekable(file, archive, archive.getinfo(name)) as weights:
                if name.endswith(".h5"):
                    _refuse_false_weights(weights)
                else:
                    with _opened(weights) as nested:
                        _refuse_false_arrays(nested)


@contextlib.contextmanager
def _opened(file: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """Give the archive in a file once it is known what it unpacks to."""
    try:
        with zipfile.ZipFile(file) as archive:
            _refuse_expanding(archive.infolist(), _size(file))
            for member in archive.infolist():
                if member.compress_type == zipfile.ZIP_DEFLATED:
                    _refuse_lie(archive, member)
            yield archive
    except (OSError, ValueError):
        raise
    except Exception as error:  # zip, HDF5 and NumPy: each has some of its own
        raise ValueError(f"it is no whole archive ({error})") from error


def _seekable(file: BinaryIO, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> BinaryIO:
    """Return a member in which steps to and fro are cheap; zipfile reads all that is between."""
    if member.compress_type != zipfile.ZIP_STORED:
        return io.BytesIO(archive.read(member))
    file.seek(member.header_offset + _LENGTHS)
    name, extra = struct.unpack("<HH", file.read(4))
    return cast(BinaryIO, _Part(file, file.tell() + name + extra, member.file_size))


class _Part(io.RawIOBase):
    """A part of a file as a file of its own."""

    def __init__(self, file: BinaryIO, start: int, size: int):
        super().__init__()
        self._file, self._start, self._length, self._place = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        origins = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._length}
        self._place = origins[whence] + offset
        return self._place

    def readinto(self, buffer: Any, /) -> int:
        self._file.seek(self._start + self._place)
        left = max(0, self._length - self._place)
        block = self._file.read(min(len(memoryview(buffer)), left))
        buffer[: len(block)] = block
        self._place += len(block)
        return len(block)


def _size(file: BinaryIO) -> int:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size


def _refuse_expanding(members: Sequence[zipfile.ZipInfo], size: int) -> None:
    if len(members) > _MOST_MEMBERS:
        raise ValueError(f"it has {len(members):,} members, and at most {_MOST_MEMBERS:,} are read")
    for member in members:
        _refuse_packing(member)
    # Members may lie one over the other, each of them the whole file.
    if sum(member.compress_size for member in members) > size:
        raise ValueError("its members are larger than the file is")
    deflated = [member for member in members if member.compress_type == zipfile.ZIP_DEFLATED]
    refuse_expansion(
        sum(member.compress_size for member in deflated),
        sum(member.file_size for member in deflated),
    )


def _refuse_packing(member: zipfile.ZipInfo) -> None:
    if member.compress_type not in _PACKINGS or member.flag_bits & _ENCRYPTED:
        raise ValueError(
            f"{member.filename!r} in it is encrypted or packed by method {member.compress_type}; "
            "only what is stored or deflated is read"
        )
    if member.compress_type == zipfile.ZIP_STORED and member.file_size != member.compress_size:
        raise ValueError(f"{member.filename!r} in it has another size than it declares")


def _refuse_lie(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Unpack a member block by block, to see that it ends where it declares to."""
    beyond = copy.copy(member)
    beyond.file_size += 1
    with archive.open(beyond) as unpacked:
        size = sum(len(block) for block in iter(lambda: unpacked.read(_BLOCK), b""))
    if size != member.file_size:
        raise ValueError(f"{member.filename!r} in it has another size than it declares")


def most_unpacked(packed: int) -> int:
    """Return how many bytes may be made of so many."""
    return max(_FREE_BYTES, _MOST_TIMES * packed)


def refuse_expansion(packed: int, unpacked: int) -> None:
    """Raise `ValueError` where a file would unpack to far more bytes than are in it."""
    if unpacked > most_unpacked(packed):
        raise ValueError(
            f"it would unpack to {unpacked:,} bytes from {packed:,}; beyond {_FREE_BYTES:,} bytes, "
            f"at most {_MOST_TIMES} times what is packed is read"
        )


def _refuse_false_arrays(archive: zipfile.ZipFile) -> None:
    """Raise where NumPy would make room for more than follows."""
    for member in archive.infolist():
        with archive.open(member) as file:
            header = _HEADERS.get(np.lib.format.read_magic(file))
            if header is None:
                raise ValueError(f"{member.filename!r} in it is of an unknown version")
            shape, _, dtype = header(file)
            if dtype.itemsize == 0:  # of such, any number takes no room
                raise ValueError(f"{member.filename!r} in it holds items without a size")
            declared = file.tell() + math.prod(shape) * dtype.itemsize
        if declared != member.file_size:
            raise ValueError(
                f"{member.filename!r} in it declares {declared:,} bytes and has "
                f"{member.file_size:,}"
            )


def _refuse_false_weights(file: BinaryIO) -> None:
    """Raise where HDF5 would make room for far more than the file holds."""
    import h5py

    declared = 0

    def add(_: str, item: Any) -> None:
        nonlocal declared
        declared += item.nbytes if isinstance(item, h5py.Dataset) else 0

    size = _size(file)
    with h5py.File(file, "r") as weights:
        weights.visititems(add)
    refuse_expansion(size, declared)
