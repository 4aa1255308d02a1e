"""Damaged files of finished stages: refused by name, or made again where the user asks for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from kd_keras.experiments.stage_record import STAGES, Damage, DamagedError, StageRecord, difference
from kd_keras.folders import is_name
from kd_keras.json_text import read_json
from kd_keras.network_files import archive_damage
from kd_keras.report.saying import say

_LONGEST = 120


def damage_in(folder: Path, checkpoints: Mapping[str, Path] | None = None) -> list[Damage]:
    """Return the files in a folder of results that are not what its stages left.

    Args:
        folder: The folder. A finished run without a record, as an earlier version of kd_keras left
            it, is looked at as far as its files tell by themselves.
        checkpoints: The file in which each unfinished stage keeps its state, by the stage.
    """
    record = StageRecord(folder)
    try:
        is_older = not record.exists and (folder / "report.json").exists()
        found = _without_record(folder) if is_older else record.damage()
    except DamagedError as error:
        found = [Damage(STAGES, f"is damaged: {error}", "")]
    for stage, path in (checkpoints or {}).items():
        what = _of_checkpoint(path) if path.exists() else ""
        if what:
            found.append(Damage(path.name, what, stage))
    return found


def damage_of_best(stage: str, checkpoint: Path, best: Path) -> list[Damage]:
    """Return the damage of a network as after its best epoch, which only a training makes again.

    Args:
        stage: The stage that is not finished.
        checkpoint: Its state.
        best: The network's file, there from the first epoch on.
    """
    from kd_keras.checkpoint.file import CheckpointFile
    from kd_keras.checkpoint.seal import is_whole

    if not checkpoint.is_file() or _of_checkpoint(checkpoint):
        return []  # nothing to go on with, or said already
    header = CheckpointFile(checkpoint).header()
    if header is None or not header.history:
        return []
    if not best.exists():
        what = "is missing"
    elif not best.is_file():
        what = "is damaged: it is no file any more"
    elif not is_whole(best):
        what = "is damaged: its SHA-256 is another one"
    else:
        return []
    return [
        Damage(best.name, what, stage),
        Damage(checkpoint.name, "cannot be used without it", stage),
    ]


def refuse(folder: Path, damage: Sequence[Damage], again: Mapping[str, str]) -> None:
    """Raise `DamagedError` where there is damage.

    Args:
        folder: Where it is.
        damage: What `damage_in` returned.
        again: What a repair does, by the stage.
    """
    if damage:
        raise DamagedError(
            f"In {str(folder)!r} {', '.join(map(str, damage))}. Put back whole copies, or repair "
            f"(--repair on the command line, `repair=True` in Python), which "
            f"{_told(damage, again)}, and then what is made from it, where it ends otherwise."
        )


def take_away(
    folder: Path,
    damage: Sequence[Damage],
    again: Mapping[str, str],
    console: Console,
    parted: Collection[str] = (),
) -> None:
    """Remove the stages whose files are damaged, and say what is done again.

    Args:
        folder: Where they are; no other process works in it.
        damage: What `damage_in` returned.
        again: What is done again, by the stage.
        console: Where it is said.
        parted: Files that stay, with their entries, where others of their stage are damaged.

    Raises:
        DamagedError: If a folder stands where a file should.
    """
    if not damage:
        return
    for found in damage:
        if (folder / found.file).is_dir():
            raise DamagedError(
                f"{str(folder / found.file)!r} must be a file, and a folder stands there. Move it "
                "away, and do the same again."
            )
    say(console, f"Repairing: {', '.join(map(str, damage))}. This {_told(damage, again)}.")
    for found in damage:
        (folder / found.file).unlink(missing_ok=True)
    record = StageRecord(folder)
    stages = record.stages()
    for name in {found.stage for found in damage} & set(stages):
        gone = {found.file for found in damage if found.stage == name}
        left = {f: sha for f, sha in stages[name].files.items() if f in parted and f not in gone}
        record.enter(name, dataclasses.replace(stages[name], files=left) if left else None)


def _told(damage: Iterable[Damage], again: Mapping[str, str]) -> str:
    return " and ".join(dict.fromkeys(again[found.stage] for found in damage))


def _of_checkpoint(path: Path) -> str:
    from kd_keras.checkpoint.file import CheckpointFile

    if not path.is_file():
        return "is damaged: it is no file any more"
    try:
        CheckpointFile(path).read()
    except ValueError as error:
        return f"cannot be used: {str(error)[:_LONGEST]}"
    return ""


def _without_record(folder: Path) -> list[Damage]:
    """Return the damage that shows without a record: checksums inside archives, and of exports."""
    found = []
    for path in sorted(folder.glob("*.keras")):
        what = archive_damage(path)
        if what:
            found.append(Damage(path.name, f"is damaged: {what}", path.stem))
    try:
        exported = read_json(folder / "export.json")
        digests = {file: numbers["sha256"] for file, numbers in exported.items()}
        if not all(map(is_name, digests)):
            raise ValueError("it names a file in another folder")
    except FileNotFoundError:
        return found
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        return [*found, Damage("export.json", f"is damaged: {error!r}", "exported")]
    for file, digest in digests.items():
        what = difference(folder / file, digest)
        if what:
            found.append(Damage(file, what, "exported"))
    return found
