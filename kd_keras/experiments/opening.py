"""Opening the folder of a run: whose it is, who works in it, what may be deleted in it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kd_keras.experiments.folder import BEGUN, FILES, RECIPE, REPORT, START_OVER, RunFolder
from kd_keras.experiments.stage_record import DamagedError, StageRecord, digest_of
from kd_keras.folders import refuse_links_out, refuse_strangers
from kd_keras.json_text import read_json
from kd_keras.lock import LOCK, held_lock
from kd_keras.recipes.recipe import Recipe
from kd_keras.regular_file import read_text


def is_finished(path: Path, recipe: Recipe) -> bool:
    """Whether `path` holds the complete results of `recipe`. Writes nothing."""
    return (path / REPORT).is_file() and _recipe_in(path, recipe) == recipe


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
    from kd_keras.experiments import open_run

    with open_run("saved_models/digits", digits()) as folder:
        folder.begin()
    ```
    """
    path = Path(path)

    def refuse_contents() -> None:
        refuse_links_out(path)
        if not fresh:
            _refuse_other_contents(path, recipe)
        elif not _is_run(path):  # it would be deleted
            refuse_strangers(path, "run", RECIPE)

    if path.is_dir():
        refuse_contents()  # before a lock is left in a folder that is none of ours
    created = _create(path)
    try:
        with held_lock(path):
            refuse_contents()
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


def _recipe_in(path: Path, expected: Recipe) -> Recipe | None:
    """Return the recipe of the run in `path`, or None where there is none.

    Where the record says that it was `expected`, the file is not asked: if it is damaged, it is
    found with the others.
    """
    with contextlib.suppress(DamagedError):
        begun = StageRecord(path).stages().get(BEGUN)
        if begun is not None and begun.files.get(RECIPE) == digest_of(expected.to_json()):
            return expected
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
    existing = _recipe_in(path, recipe)
    if existing is None:
        refuse_strangers(path, "run", RECIPE)
    elif existing != recipe:
        fields = existing.told_differences(recipe)
        raise ValueError(f"{str(path)!r} holds a run of another recipe: {fields}. {START_OVER}")


def _is_run(path: Path) -> bool:
    """Whether `path` holds a run of ours, of this or another version, damaged or not."""
    try:
        return Recipe.is_recipe(read_json(path / RECIPE))
    except OSError:
        return False
    except ValueError:
        # No JSON any more, so it does not say whose it is; the names of the other files do.
        visible = {entry.name for entry in path.iterdir() if not entry.name.startswith(".")}
        return visible <= set(FILES)
