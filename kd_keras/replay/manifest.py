"""What a recording is of: everything that decides its rows, and the table of its files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tensorflow as tf

from kd_keras import __version__
from kd_keras.arguments import check_integer
from kd_keras.folders import file_inside
from kd_keras.json_text import read_json
from kd_keras.replay.rows import RowFormat
from kd_keras.whole_file import write_whole

MANIFEST = "manifest.json"
_FORMAT = "kd_keras_recording"
_FORMAT_VERSION = 1
_CHECKSUM = "sha256"
_DIGITS = 64
# A table of this many files is read in a second or two.
_MOST_FILES = 10**6
_PACKAGES = ("tensorflow", "keras", "keras-cv", "numpy")
_LONGEST_VALUE = 80
# What may differ between two calls that work on the same recording.
_NOT_COMPARED = ("versions", "epochs", "shards")


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file: the views of some successive batches of one epoch.

    Attributes:
        epoch: Which epoch, from 0.
        part: Which file of the epoch, from 0.
        first: Its first batch within the epoch.
        steps: How many batches.
    """

    epoch: int
    part: int
    first: int
    steps: int

    @property
    def file(self) -> str:
        """The name of the file."""
        return f"epoch-{self.epoch:05d}-part-{self.part:04d}.npy"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """All that decides what is in a recording.

    Attributes:
        teacher: Its `name`, and a `fingerprint` of its weights and config.
        data: What tells the training data from others.
        order: What decides their order: batch size, seed, and the like.
        inputs: `shape` and `dtype` of one image.
        steps_per_epoch: Batches in an epoch.
        augmentation: The configs of the policies, in their order.
        classes: Number of classes.
        k: How many of them are stored of each view.
        steps_per_shard: Batches in a file, at most; a file never spans two epochs.
        versions: Of the packages that recorded.
        epochs: How many epochs there are to be.
        shards: The table of files, once all are there.
    """

    teacher: Mapping[str, str]
    data: Mapping[str, Any]
    order: Mapping[str, Any]
    inputs: Mapping[str, Any]
    steps_per_epoch: int
    augmentation: list[Any]
    classes: int
    k: int
    steps_per_shard: int
    versions: Mapping[str, str]
    epochs: int
    shards: tuple[Mapping[str, Any], ...] = ()

    @property
    def rows(self) -> RowFormat:
        """How a view is stored."""
        return RowFormat(self.classes, self.k)

    @property
    def salt(self) -> int:
        """64 bits that tell the rows of this recording from those of any other."""
        fields = {
            name: value for name, value in self._fields().items() if name not in _NOT_COMPARED
        }
        text = json.dumps(fields, sort_keys=True)
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")

    def files(self) -> list[Shard]:
        """Return all files that there are to be, in the order of training."""
        return [shard for epoch in range(self.epochs) for shard in self.files_of(epoch)]

    def files_of(self, epoch: int) -> list[Shard]:
        """Return the files of an epoch, in their order."""
        steps, most = self.steps_per_epoch, self.steps_per_shard
        return [
            Shard(epoch, part, first, min(most, steps - first))
            for part, first in enumerate(range(0, steps, most))
        ]

    def entry(self, shard: Shard, rows: int, sha256: str) -> dict[str, Any]:
        """Return what the table says of a file."""
        return {
            "file": shard.file,
            "epoch": shard.epoch,
            "first_step": shard.epoch * self.steps_per_epoch + shard.first,
            "steps": shard.steps,
            "rows": rows,
            "sha256": sha256,
        }

    def differences(self, other: Manifest) -> list[str]:
        """Return in words in what the two are not of the same recording."""
        mine, theirs = self._fields(), other._fields()
        return [
            difference
            for name in mine
            if name not in _NOT_COMPARED
            for difference in differences(name, mine[name], theirs[name])
        ]

    def write(self, folder: Path) -> None:
        """Write it, whole or not at all."""
        fields = {_FORMAT: _FORMAT_VERSION, "temperature": 1, **self._fields()}
        fields[_CHECKSUM] = _checksum(fields)
        write_whole(folder / MANIFEST, json.dumps(fields, indent=2) + "\n")

    def _fields(self) -> dict[str, Any]:
        # Through JSON, as tuples become lists there.
        fields: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return fields


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest in a folder, or None where there is none.

    Raises:
        ValueError: If it cannot be read, is damaged, or is of another version of the format.
    """
    path = folder / MANIFEST
    remedy = "Put back a whole copy, or record anew into another folder."
    try:
        fields = read_json(file_inside(folder, MANIFEST))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ValueError(f"{str(path)!r} cannot be read: {error}. {remedy}") from error
    found = fields.get(_FORMAT) if isinstance(fields, dict) else None
    if found != _FORMAT_VERSION:
        raise ValueError(
            f"{str(path)!r} must be a recording of kd_keras in format {_FORMAT_VERSION}. Received: "
            f"{_FORMAT}={found!r}. Record anew with this version."
        )
    names = {field.name for field in dataclasses.fields(Manifest)}
    missing = sorted(names - set(fields))
    if missing:
        raise ValueError(f"{str(path)!r} is damaged: it lacks {missing}. {remedy}")
    try:
        # Manifests of earlier versions have none.
        if fields.pop(_CHECKSUM, None) not in (None, _checksum(fields)):
            raise ValueError("what it says is not what was written.")
        manifest = Manifest(**{name: value for name, value in fields.items() if name in names})
        _refuse_nonsense(manifest)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{str(path)!r} is damaged: {error} {remedy}") from error
    return dataclasses.replace(manifest, shards=tuple(manifest.shards))


def _checksum(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _refuse_nonsense(manifest: Manifest) -> None:
    """Raise unless all that is calculated with is of its kind, and the table names its files."""
    one_or_more = partial(check_integer, low=1)
    for name in ("steps_per_epoch", "steps_per_shard", "epochs"):
        one_or_more(name, getattr(manifest, name))
    check_integer("classes", manifest.classes, 2, 2**31 - 1)
    check_integer("k", manifest.k, 1, manifest.classes)
    one_or_more("batch_size", manifest.order["batch_size"])
    for side in manifest.inputs["shape"]:
        one_or_more("shape", side)
    tf.as_dtype(manifest.inputs["dtype"])
    parts = -(-manifest.steps_per_epoch // manifest.steps_per_shard)
    check_integer("the number of files", parts * manifest.epochs, 1, _MOST_FILES)
    dicts = (manifest.data, manifest.versions)
    lists = (manifest.augmentation, manifest.shards)
    if not (
        all(isinstance(manifest.teacher[name], str) for name in ("name", "fingerprint"))
        and all(isinstance(value, dict) for value in dicts)
        and all(isinstance(value, list) for value in lists)
    ):
        raise ValueError("an entry of it is of another kind than it was.")
    files = manifest.files()
    if len(manifest.shards) > len(files):
        raise ValueError(f"it has {len(manifest.shards)} files in place of {len(files)}.")
    for entry, shard in zip(manifest.shards, files, strict=False):
        rows = one_or_more("rows", entry["rows"])
        # The names are ours to say: whoever wrote another one would have any file read.
        if entry != manifest.entry(shard, rows, entry["sha256"]) or not is_digest(entry["sha256"]):
            raise ValueError(f"its table has {_short(entry)} for {shard.file!r}.")


def is_digest(value: Any) -> bool:
    """Return whether `value` is a SHA-256, hexadecimal."""
    return (
        isinstance(value, str) and len(value) == _DIGITS and set(value) <= set("0123456789abcdef")
    )


def differences(name: str, there: Any, here: Any) -> Iterator[str]:
    """Yield in words in what two values differ, down to the entry of a dict or list."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for key in {**there, **here}:
            yield from differences(f"{name}.{key}", there.get(key), here.get(key))
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        for index, (old, new) in enumerate(zip(there, here, strict=True)):
            yield from differences(f"{name}[{index}]", old, new)
    elif there != here:
        yield f"{name} is {_short(there)} there and {_short(here)} here"


def versions() -> dict[str, str]:
    """Return the versions of the packages that views and labels depend on."""
    return {"kd_keras": __version__, **{package: version(package) for package in _PACKAGES}}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 4]} ..."
