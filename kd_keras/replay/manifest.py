"""What a recording is of: everything that decides its rows, and the table of its files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kd_keras import __version__
from kd_keras.regular_file import read_text
from kd_keras.replay.rows import RowFormat
from kd_keras.whole_file import write_whole

MANIFEST = "manifest.json"
_FORMAT = "kd_keras_recording"
_FORMAT_VERSION = 1
_PACKAGES = ("tensorflow", "keras", "keras-cv", "numpy")
_LONGEST_VALUE = 80
# What may differ between two calls that work on the same recording.
_NOT_COMPARED = ("versions", "epochs", "shards")


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
        write_whole(folder / MANIFEST, json.dumps(fields, indent=2) + "\n")

    def _fields(self) -> dict[str, Any]:
        # Through JSON, as tuples become lists there.
        fields: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return fields


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest in a folder, or None where there is none.

    Raises:
        ValueError: If it cannot be read, or is of another version of the format.
    """
    path = folder / MANIFEST
    try:
        fields = json.loads(read_text(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ValueError(f"{str(path)!r} cannot be read: {error}. Record anew.") from error
    found = fields.get(_FORMAT) if isinstance(fields, dict) else None
    if found != _FORMAT_VERSION:
        raise ValueError(
            f"{str(path)!r} must be a recording of kd_keras in format {_FORMAT_VERSION}. Received: "
            f"{_FORMAT}={found!r}. Record anew with this version."
        )
    names = {field.name for field in dataclasses.fields(Manifest)}
    missing = sorted(names - set(fields))
    if missing:
        raise ValueError(f"{str(path)!r} is damaged: it lacks {missing}. Record anew.")
    values = {name: value for name, value in fields.items() if name in names}
    return Manifest(**{**values, "shards": tuple(values["shards"])})


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
