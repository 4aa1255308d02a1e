"""A folder inside a study, of a cell or of a teacher: one process at a time, resumable."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.console import Console

from kd_keras.experiments.folder import RunFolder
from kd_keras.folders import made_folder, refuse_links_out
from kd_keras.lock import HeldError, held_lock
from kd_keras.recipes.recipe import Recipe
from kd_keras.recipes.stage import STUDENT, TEACHER
from kd_keras.report.saying import say
from kd_keras.whole_file import remove_unfinished

# The stages of a cell behind the training of its student.
COUNTED, MEASURED = "counted", "measured"
_NEEDS = {STUDENT: (TEACHER,), COUNTED: (STUDENT,), MEASURED: (STUDENT, TEACHER)}
_AGAIN = {
    "": "takes the networks as they are, and measures again",
    TEACHER: "trains the teacher again, for the cells that are not finished",
    STUDENT: "trains the student again",
    COUNTED: "trains the student again",
    MEASURED: "measures the student again",
}
_POLL_SECONDS = 2.0


class Busy(Exception):
    """Another process works on it."""


def results_in(path: Path, recipe: Recipe, elsewhere: Mapping[str, str] | None = None) -> RunFolder:
    """Return the folder of a cell or a teacher, as `RunFolder` knows one."""
    return RunFolder(path, recipe, elsewhere or {}, needs=_NEEDS, again=_AGAIN)


@contextlib.contextmanager
def claimed(
    path: Path,
    recipe: Recipe,
    elsewhere: Mapping[str, str] | None = None,
    *,
    repairs: bool = False,
    console: Console | None = None,
) -> Iterator[RunFolder]:
    """Give a folder to this process alone, cleared of what a killed process left half-written.

    Args:
        path: The folder of a cell or a teacher.
        recipe: What is trained in it.
        elsewhere: As in `RunFolder`.
        repairs: As for `RunFolder.check`.
        console: As for `RunFolder.check`.

    Raises:
        Busy: If another process works in it.
        DamagedError: As `RunFolder.check`.
    """
    for folder in (path.parent, path):
        refuse_links_out(folder)
    made_folder(path, "output", "Choose another with --output.")
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(held_lock(path))
        except HeldError as error:
            raise Busy(str(error)) from error
        remove_unfinished(path)
        results = results_in(path, recipe, elsewhere)
        results.check(repairs, console)
        yield results


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
