"""The folder of a study: one folder for each cell and each teacher, shared by any processes."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from kd_keras.lock import held_lock
from kd_keras.recipes.recipe import Recipe
from kd_keras.regular_file import read_text
from kd_keras.run.data_identity import keep_or_refuse
from kd_keras.run.folder import RunFolder
from kd_keras.run.saying import say
from kd_keras.study.grid import Cell, Study, recipe_of_study
from kd_keras.whole_file import PARTIAL, write_whole

if TYPE_CHECKING:
    from kd_keras.data import DataInfo

_STUDY = "study.json"
_COMMANDS = "commands.txt"
_CELLS = "cells"
_TEACHERS = "teachers"
_POLL_SECONDS = 2.0

TRAINING = "training.json"
RESULT = "result.json"
PREDICTIONS = "predictions.npz"


class Busy(Exception):
    """Another process works on it."""


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

    def cell(self, cell: Cell) -> Path:
        """Return the folder of a cell."""
        return self.path / _CELLS / cell.name

    def teacher(self, augmentation: str) -> Path:
        """Return the folder of the teacher that was trained on views of `augmentation`."""
        return self.path / _TEACHERS / augmentation

    def is_finished(self, cell: Cell) -> bool:
        """Whether the cell's result is there."""
        return (self.cell(cell) / RESULT).is_file()

    def finished(self) -> tuple[Cell, ...]:
        """Return all cells whose results are there, of this grid or another one."""
        cells = []
        for path in sorted((self.path / _CELLS).glob(f"*/{RESULT}")):
            cells.append(Cell(**json.loads(path.read_text(encoding="utf-8"))["cell"]))
        return tuple(sorted(cells))

    def check_data(self, info: DataInfo) -> None:
        """Note which data the study is of, or raise where its earlier cells are of others.

        Args:
            info: Of the loaded data.

        Raises:
            ValueError: If they are others.
        """
        remedy = "Its cells could not be compared. Choose another folder with --output."
        keep_or_refuse(self.path, info.identity(), remedy)

    def note_command(self, command: str) -> None:
        """Keep the command among those that filled the folder."""
        if command not in self.commands():
            write_whole(self.path / _COMMANDS, "\n".join([*self.commands(), command]) + "\n")

    def commands(self) -> list[str]:
        """Return the commands that filled the folder."""
        path = self.path / _COMMANDS
        return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def open_study(path: str | os.PathLike[str], study: Study) -> StudyFolder:
    """Return the folder of a study; it is created where needed.

    Any number of processes may work in it at once, and grids over the same recipe may follow one
    another: cells are told apart by their names.

    Args:
        path: The folder.
        study: What is to run in it.

    Raises:
        ValueError: If the folder cannot be written, holds something else than a study, or a study
            of another recipe.
    """
    path = Path(path)
    text = study.to_json()
    recipe = recipe_of_study(text)
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not (path / _STUDY).exists():
            _refuse_strangers(path)
            write_whole(path / _STUDY, text)
        existing = read_text(path / _STUDY)
    except OSError as error:
        raise ValueError(
            f"The output folder cannot be used: {error}. Received: output={str(path)!r}. Choose "
            "another one (--output on the command line)."
        ) from error
    theirs = _recipe_in(path, existing)
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


@contextlib.contextmanager
def claimed(path: Path, recipe: Recipe) -> Iterator[RunFolder]:
    """Give a folder to this process alone, cleared of what a killed process left half-written.

    Args:
        path: The folder of a cell or a teacher.
        recipe: What is trained in it.

    Raises:
        Busy: If another process works in it.
    """
    path.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(held_lock(path))
        except ValueError as error:
            raise Busy(str(error)) from error
        for left in path.iterdir():
            if left.name.startswith(PARTIAL):
                left.unlink()
        yield RunFolder(path, recipe)


@contextlib.contextmanager
def awaited(path: Path, recipe: Recipe, console: Console, what: str) -> Iterator[RunFolder]:
    """Give a folder to this process alone, as `claimed`, as soon as nobody else works in it."""
    told = False
    while True:
        with contextlib.ExitStack() as stack:
            try:
                folder = stack.enter_context(claimed(path, recipe))
            except Busy as error:
                if not told:
                    say(console, f"Waiting for {what}: {error}")
                told = True
            else:
                yield folder
                return
        time.sleep(_POLL_SECONDS)


def _recipe_in(path: Path, text: str) -> Recipe:
    try:
        return recipe_of_study(text)
    except ValueError as error:
        raise ValueError(
            f"{str(path / _STUDY)!r} cannot be read: {error} Choose another folder with --output."
        ) from error


def _refuse_strangers(path: Path) -> None:
    strangers = sorted(p.name for p in path.iterdir() if not p.name.startswith("."))
    if strangers:
        raise ValueError(
            f"{str(path)!r} is not empty and holds no study: there is no {_STUDY} of ours in it. "
            f"Received: a folder with {strangers[:5]}{' and more' if len(strangers) > 5 else ''}. "
            "Nothing in it is touched. Choose another folder with --output."
        )
