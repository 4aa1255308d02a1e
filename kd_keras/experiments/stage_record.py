"""What each finished stage of a folder left, with digests: later damage is noticed and named."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kd_keras.folders import is_name
from kd_keras.json_text import read_json
from kd_keras.whole_file import checksum, write_whole

STAGES = "stages.json"
_FORMAT = "kd_keras_stages"
_FORMAT_VERSION = 1


class DamagedError(ValueError):
    """A file of a finished stage is not what it was; the text says which, and what to do."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """A finished stage.

    Attributes:
        files: The SHA-256 of each file that it left, by its name.
        result: A digest of what later stages are made from; of a network, its weights.
        made_from: The results of the stages that it was made from, by their names.
        history: The logs of each epoch, of a training.
    """

    files: Mapping[str, str]
    result: str = ""
    made_from: Mapping[str, str] = dataclasses.field(default_factory=dict)
    history: Sequence[Mapping[str, float]] = ()


@dataclasses.dataclass(frozen=True)
class Damage:
    """A file that is not what its stage left.

    Attributes:
        file: Its name.
        what: What is wrong with it, behind "is" or "cannot be read".
        stage: The stage; "" for the record itself.
    """

    file: str
    what: str
    stage: str

    def __str__(self) -> str:
        return f"{self.file!r} {self.what}"


@dataclasses.dataclass(frozen=True)
class StageRecord:
    """The record in a folder, a file that holds a digest of itself too.

    Attributes:
        folder: The folder.
    """

    folder: Path

    @property
    def exists(self) -> bool:
        """Whether there is a record; earlier versions of kd_keras wrote none."""
        return (self.folder / STAGES).exists()

    def stages(self) -> dict[str, Stage]:
        """Return the finished stages by their names.

        Raises:
            DamagedError: If the record is not what was written.
            ValueError: If another version of kd_keras wrote it.
        """
        path = self.folder / STAGES
        try:
            fields = read_json(path)
            version = fields[_FORMAT]
            if version == _FORMAT_VERSION and fields["sha256"] != _digest(fields["stages"]):
                raise KeyError("sha256")
            stages = fields["stages"] if version == _FORMAT_VERSION else {}
            found = {name: Stage(**stage) for name, stage in stages.items()}
            if not all(is_name(file) for stage in found.values() for file in stage.files):
                raise ValueError("it names a file in another folder")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise DamagedError(f"{str(path)!r} is damaged: {error!r}") from error
        if version != _FORMAT_VERSION:
            raise ValueError(
                f"{str(path)!r} is of format {version!r}, and this version of kd_keras reads "
                f"{_FORMAT_VERSION}. Go on with the version that wrote it."
            )
        return found

    def note(
        self,
        name: str,
        files: Sequence[str],
        *,
        result: str = "",
        made_from: Mapping[str, str] | None = None,
        history: Sequence[Mapping[str, float]] = (),
    ) -> None:
        """Enter a stage whose files are written, in the place of an earlier entry.

        Args:
            name: Of the stage.
            files: Names of its files.
            result: As in `Stage`; by default a digest of the files.
            made_from: As in `Stage`.
            history: As in `Stage`.
        """
        digests = {file: checksum(self.folder / file) for file in files}
        self.enter(name, Stage(digests, result or _digest(digests), made_from or {}, history))

    def enter(self, name: str, stage: Stage | None) -> None:
        """Enter a stage as it is, or take its entry out where there is none."""
        stages = {n: s for n, s in self.stages().items() if n != name}
        if stage is not None:
            stages[name] = stage
        # Through JSON, as tuples become lists there.
        plain = json.loads(json.dumps({n: dataclasses.asdict(s) for n, s in stages.items()}))
        fields = {_FORMAT: _FORMAT_VERSION, "sha256": _digest(plain), "stages": plain}
        write_whole(self.folder / STAGES, json.dumps(fields, indent=2) + "\n")

    def has(self, name: str, made_from: Mapping[str, str] | None = None) -> bool:
        """Whether a stage is finished.

        Args:
            name: Of the stage.
            made_from: What it would be made from now, where that is asked: one that was made from
                something else is to be made again.
        """
        stage = self.stages().get(name)
        if stage is None or made_from is None:
            return stage is not None
        return dict(stage.made_from) == dict(made_from)

    def damage(self) -> list[Damage]:
        """Return the files that are not what their stages left. Reads all of them."""
        return [
            Damage(file, what, name)
            for name, stage in self.stages().items()
            for file, digest in stage.files.items()
            if (what := difference(self.folder / file, digest))
        ]


def difference(path: Path, digest: str) -> str:
    """Return what tells a file from the one with a SHA-256, in words, or "" where nothing does."""
    if not path.exists():
        return "is missing"
    if not path.is_file():
        return "is damaged: it is no file any more"
    try:
        return "" if checksum(path) == digest else "is damaged: its SHA-256 is another one"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def digest_of(text: str) -> str:
    """Return the SHA-256 of a text, as that of a file that holds it."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _digest(value: Any) -> str:
    return digest_of(json.dumps(value, sort_keys=True))
