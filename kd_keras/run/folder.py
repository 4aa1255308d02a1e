"""The folder of a run: whose it is, who works in it, what may be deleted in it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kd_keras.lock import LOCK, held_lock
from kd_keras.recipes.recipe import Recipe
from kd_keras.regular_file import read_text
from kd_keras.run.data_identity import DATA, keep_or_refuse
from kd_keras.whole_file import PARTIAL, write_whole

RECIPE = "recipe.json"
HISTORY = "history.csv"
REPORT = "report.json"
PAGE = "report.html"
SHEET = "report.csv"
FLOAT32 = "student_float32.tflite"
INT8 = "student_int8.tflite"
EXPORT = "export.json"
# The networks in the order in which they are trained; each becomes `<name>.keras`.
TEACHER, STUDENT_ALONE, STUDENT = NETWORKS = ("teacher", "student_alone", "student")
# The files of a run as they are deleted. What marks the folder as finished goes first, what marks
# it as ours last: a deletion that is cut short leaves an unfinished run, which --fresh can delete.
_FILES = (
    *(REPORT, PAGE, SHEET, EXPORT, INT8, FLOAT32),
    *(name.format(n) for n in reversed(NETWORKS) for name in ("checkpoint_{}.npz", "{}.keras")),
    *(HISTORY, DATA, RECIPE),
)

START_OVER = "Delete that run and start over with --fresh, or choose another folder with --output."


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """The folder of one run.

    Attributes:
        path: The folder.
        recipe: The recipe whose results it holds, or will hold.
    """

    path: Path
    recipe: Recipe

    def network(self, name: str) -> Path:
        """Return where the trained network `name`, one of `NETWORKS`, is kept."""
        return self.path / f"{name}.keras"

    def checkpoint(self, name: str) -> Path:
        """Return where training of the network `name` keeps its last complete epoch."""
        return self.path / f"checkpoint_{name}.npz"

    def begin(self, fresh: bool = False, data: Mapping[str, Any] | None = None) -> None:
        """Make the folder this recipe's, where it is not yet, and clear what a killed run left.

        Args:
            fresh: Delete what an earlier run left here first: the files of a run, and no others.
            data: What tells the run's data from others, as JSON knows it.

        Raises:
            ValueError: If an earlier run left results of other data and `fresh` is False. Nothing
                is changed then.
        """
        if data is not None and not fresh and (self.path / DATA).exists():
            keep_or_refuse(self.path, data, START_OVER)
        for path in self.path.iterdir():
            if path.name.startswith(PARTIAL):
                path.unlink()
        if fresh:
            for name in _FILES:
                (self.path / name).unlink(missing_ok=True)
        if not (self.path / RECIPE).exists():
            write_whole(self.path / RECIPE, self.recipe.to_json())
        if data is not None:
            keep_or_refuse(self.path, data, START_OVER)


def is_finished(path: Path, recipe: Recipe) -> bool:
    """Whether `path` holds the complete results of `recipe`. Writes nothing."""
    return (path / REPORT).is_file() and _recipe_in(path) == recipe


@contextmanager
def open_run(
    path: str | os.PathLike[str], recipe: Recipe, fresh: bool = False
) -> Iterator[RunFolder]:
    """Give a folder in which no other process works and which no other recipe has taken.

    Nothing in it is changed or deleted before `RunFolder.begin`. If that is never called, a folder
    that was created here goes again.

    Args:
        path: The folder; it is created with its parents where needed.
        recipe: What is to run in it.
        fresh: Whether results of an earlier run, of any recipe, may be deleted.

    Raises:
        ValueError: If the folder cannot be created or written, another process works in it, it
            belongs to another recipe, or it holds something else than a run.

    Example:

    ```python
    from kd_keras.recipes import digits
    from kd_keras.run import open_run

    with open_run("saved_models/digits", digits()) as folder:
        folder.begin()
    ```
    """
    path = Path(path)
    created = _create(path)
    try:
        with held_lock(path):
            if fresh:
                _refuse_to_delete(path)
            else:
                _refuse_other_contents(path, recipe)
            yield RunFolder(path, recipe)
    finally:
        _remove_if_unused(created)


def _create(path: Path) -> list[Path]:
    """Create the folder and return what was created, innermost first."""
    missing = [part for part in (path, *path.parents) if not part.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        _remove_if_unused(missing)
        raise ValueError(
            f"The output folder cannot be written: {error}. Received: output={str(path)!r}. "
            "Choose another one (--output on the command line)."
        ) from error
    return missing


def _remove_if_unused(created: list[Path]) -> None:
    if not created or not created[0].is_dir() or {p.name for p in created[0].iterdir()} - {LOCK}:
        return
    with contextlib.suppress(OSError):
        (created[0] / LOCK).unlink(missing_ok=True)
        for folder in created:
            folder.rmdir()


def _recipe_in(path: Path) -> Recipe | None:
    """Return the recipe of the run in `path`, or None where there is none."""
    try:
        return Recipe.from_json(read_text(path / RECIPE))
    except OSError:
        return None
    except ValueError as error:
        remedy = START_OVER if _is_run(path) else "Choose another folder with --output."
        raise ValueError(
            f"{str(path / RECIPE)!r} cannot be read as a recipe: {error} {remedy}"
        ) from error


def _refuse_other_contents(path: Path, recipe: Recipe) -> None:
    existing = _recipe_in(path)
    if existing is None:
        _refuse_strangers(path)
    elif existing != recipe:
        fields = existing.told_differences(recipe)
        raise ValueError(f"{str(path)!r} holds a run of another recipe: {fields}. {START_OVER}")


def _refuse_to_delete(path: Path) -> None:
    """Raise unless `path` is empty or a run of ours."""
    if not _is_run(path):
        _refuse_strangers(path)


def _is_run(path: Path) -> bool:
    """Whether `path` holds a run of ours, of this or another version, damaged or not."""
    try:
        return Recipe.is_recipe(json.loads(read_text(path / RECIPE)))
    except OSError:
        return False
    except ValueError:
        # No JSON any more, so it does not say whose it is; the names of the other files do.
        visible = {entry.name for entry in path.iterdir() if not entry.name.startswith(".")}
        return visible <= set(_FILES)


def _refuse_strangers(path: Path) -> None:
    strangers = sorted(p.name for p in path.iterdir() if not p.name.startswith("."))
    if strangers:
        raise ValueError(
            f"{str(path)!r} is not empty and holds no run: there is no {RECIPE} of ours in it. "
            f"Received: a folder with {strangers[:5]}{' and more' if len(strangers) > 5 else ''}. "
            "Nothing in it is touched. Choose another folder with --output."
        )
