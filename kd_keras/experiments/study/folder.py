"""The folder of a study: one folder for each cell and each teacher, shared by any processes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from kd_keras.experiments.data_identity import DATA, keep_or_refuse
from kd_keras.experiments.repair import refuse
from kd_keras.experiments.stage_record import StageRecord
from kd_keras.experiments.study.cell_folder import MEASURED, claimed, results_in
from kd_keras.experiments.study.grid import Cell, Study, recipe_of_study, text_of_study
from kd_keras.folders import made_folder, refuse_links_out, refuse_strangers
from kd_keras.json_text import read_json
from kd_keras.recipes.recipe import Recipe
from kd_keras.regular_file import open_regular, read_text
from kd_keras.whole_file import write_whole

_STUDY = "study.json"
_COMMANDS = "commands.txt"
_CELLS = "cells"
_TEACHERS = "teachers"

TRAINING = "training.json"
RESULT = "result.json"
PREDICTIONS = "predictions.npz"
_REPAIR = "repair (--repair on the command line, `repair=True` in Python), which writes it again"


class Diverged(Exception):
    """The loss of a student is not finite any more."""


@dataclasses.dataclass(frozen=True)
class StudyFolder:
    """The folder of one study.

    Attributes:
        path: The folder.
        recipe: What all cells in it share.
    """

    path: Path
    recipe: Recipe

    @property
    def is_new(self) -> bool:
        """Whether no study has begun in it."""
        return not (self.path / _STUDY).exists()

    def cell(self, cell: Cell) -> Path:
        """Return the folder of a cell."""
        return self.path / _CELLS / cell.name

    def teacher(self, augmentation: str) -> Path:
        """Return the folder of the teacher that was trained on views of `augmentation`."""
        return self.path / _TEACHERS / augmentation

    def is_finished(self, cell: Cell) -> bool:
        """Whether the cell's result is there, and noted unless it is of an earlier version."""
        record = StageRecord(self.cell(cell))
        return (self.cell(cell) / RESULT).exists() and (not record.exists or record.has(MEASURED))

    def finished(self) -> tuple[Cell, ...]:
        """Return all cells whose results are there, of this grid or another one."""
        paths = sorted((self.path / _CELLS).glob(f"*/{RESULT}"))
        cells = (Cell(**read_result(path)["cell"]) for path in paths)
        return tuple(sorted(cell for cell in cells if self.is_finished(cell)))

    def refuse_or_repair(self, repairs: bool, console: Console) -> None:
        """Look at all files of finished stages, of every cell and teacher.

        Args:
            repairs: Whether stages whose files are damaged are taken away, to be done again.
            console: Where that is said.

        Raises:
            DamagedError: If there are any, and `repairs` is False.
        """
        for path in sorted([*self.path.glob(f"{_TEACHERS}/*/"), *self.path.glob(f"{_CELLS}/*/")]):
            folder = results_in(path, self.recipe)
            damage = folder.damage()
            if damage and not repairs:
                refuse(path, damage, folder.again)
            elif damage:
                with claimed(path, self.recipe, repairs=True, console=console):
                    pass

    def begin(self, data: Mapping[str, Any] | None, repairs: bool = False) -> None:
        """Make the folder this study's, where it is not yet.

        Args:
            data: What tells the data from others; None where they are not opened here.
            repairs: Whether notes of what the study is of are written again, where they cannot be
                read.

        Raises:
            UnwritableError: If it cannot be written.
        """
        made_folder(self.path, "output", "Choose another with --output.")
        if repairs and not _is_readable(self.path / _STUDY):
            (self.path / _STUDY).unlink(missing_ok=True)
        if repairs and not _is_readable(self.path / DATA):
            (self.path / DATA).unlink(missing_ok=True)
        if not (self.path / _STUDY).exists():
            write_whole(self.path / _STUDY, text_of_study(self.recipe))
        if data is not None:
            self.check_data(data)

    def check_data(self, data: Mapping[str, Any]) -> None:
        """Note which data the study is of, or raise where its earlier cells are of others.

        Args:
            data: From `kd_keras.data.DataInfo.identity`.

        Raises:
            ValueError: If they are others.
        """
        remedy = "Its cells could not be compared. Choose another folder with --output."
        keep_or_refuse(self.path, data, remedy)

    def note_command(self, command: str) -> None:
        """Keep the command among those that filled the folder."""
        if command not in self.commands():
            write_whole(self.path / _COMMANDS, "\n".join([*self.commands(), command]) + "\n")

    def commands(self) -> list[str]:
        """Return the commands that filled the folder."""
        path = self.path / _COMMANDS
        if not path.is_file():
            return []
        with open_regular(path) as file:
            return file.read().decode("utf-8", errors="replace").splitlines()


def open_study(path: str | os.PathLike[str], study: Study, repairs: bool = False) -> StudyFolder:
    """Return the folder of a study. Nothing is written before `StudyFolder.begin`.

    Any number of processes may work in it at once, and grids over the same recipe may follow one
    another: cells are told apart by their names.

    Args:
        path: The folder.
        study: What is to run in it.
        repairs: Whether a folder whose note of the study is damaged is taken for this study's.

    Raises:
        ValueError: If the folder holds something else than a study, or a study of another recipe.
    """
    path = Path(path)
    if os.path.lexists(path) and not path.is_dir():
        raise ValueError(
            f"`output` must be a folder, and {str(path)!r} is none. Choose another with --output."
        )
    refuse_links_out(path)
    recipe = recipe_of_study(study.to_json())
    try:
        existing = read_text(path / _STUDY)
        theirs = _recipe_in(path, existing)
    except FileNotFoundError:
        if path.is_dir() and not (repairs and _is_study(path)):
            refuse_strangers(path, "study", _STUDY)
        theirs = recipe
    except (OSError, ValueError) as error:
        if not (repairs and _is_study(path)):
            raise ValueError(
                f"{str(path / _STUDY)!r} is damaged: {error} Put back a whole copy, choose another "
                f"folder with --output, or, if it was of the recipe of this command, {_REPAIR}."
            ) from error
        theirs = recipe
    if theirs != recipe:
        raise ValueError(
            f"{str(path)!r} holds a study of another recipe: {theirs.told_differences(recipe)}. "
            "Its cells could not be compared with these. Choose another folder with --output."
        )
    return StudyFolder(path, recipe)


def existing_study(path: str | os.PathLike[str]) -> StudyFolder:
    """Return the folder of a study that is there already.

    Args:
        path: The folder.

    Raises:
        ValueError: If it holds no study.
    """
    path = Path(path)
    try:
        text = read_text(path / _STUDY)
    except OSError as error:
        raise ValueError(
            f"{str(path)!r} holds no study: {error}. Name a folder that `kd-keras study` filled."
        ) from error
    return StudyFolder(path, _recipe_in(path, text))


def read_result(path: Path) -> dict[str, Any]:
    """Return the result of a cell.

    Raises:
        ValueError: If the file is not what was written.
    """
    try:
        fields: dict[str, Any] = read_json(path)
        Cell(**fields["cell"])
        return fields
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise damaged_cell(path, error) from error


def damaged_cell(path: Path, error: Exception) -> ValueError:
    """Return the error for a file of a cell that no record vouches for."""
    return ValueError(
        f"{str(path)!r} is damaged: {error!r}. Put back a whole copy, or delete the folder "
        f"{str(path.parent)!r}: the study then runs that cell again."
    )


def _is_readable(path: Path) -> bool:
    """Whether there is a JSON object, or nothing at all."""
    try:
        return isinstance(read_json(path), dict)
    except FileNotFoundError:
        return True
    except ValueError:
        return False


def _is_study(path: Path) -> bool:
    """Whether there are cells or teachers of a study, whatever became of the note of it."""
    return (path / _CELLS).is_dir() or (path / _TEACHERS).is_dir()


def _recipe_in(path: Path, text: str) -> Recipe:
    try:
        return recipe_of_study(text)
    except ValueError as error:
        raise ValueError(
            f"{str(path / _STUDY)!r} cannot be read: {error} Choose another folder with --output."
        ) from error
