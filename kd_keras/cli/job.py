"""What every command of the command line is."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from kd_keras.folders import refuse_foreign_json
from kd_keras.own_modules import import_own
from kd_keras.quiet_start import starting
from kd_keras.recipes.stage import function_of
from kd_keras.report.saying import say
from kd_keras.whole_file import written_beside


class NotGoodEnough(Exception):
    """All went well, and what was measured misses a threshold that the user stated."""


@dataclasses.dataclass(frozen=True)
class Job(abc.ABC):
    """One call of a command, with its options as fields.

    Attributes:
        debug: Show the traceback of an error (also: KD_KERAS_DEBUG=1).
    """

    debug: tyro.conf.FlagCreatePairsOff[bool] = dataclasses.field(default=False, kw_only=True)

    @abc.abstractmethod
    def run(self, call: str, console: Console) -> None:
        """Do it.

        Args:
            call: The whole command line, for reports to quote.
            console: Where results and progress go.

        Raises:
            NotGoodEnough: If a stated threshold is missed.
        """


@dataclasses.dataclass(frozen=True)
class NetworkJob(Job):
    """One call of a command that reads networks from `.keras` files.

    Attributes:
        own_module: A Python module with layers of your own, which is run before a network that has
            them is read: mymodels.py, or package.module.
    """

    own_module: Annotated[str | None, tyro.conf.arg(metavar="MODULE")] = dataclasses.field(
        default=None, kw_only=True
    )

    def import_own_module(self, console: Console) -> None:
        """Import it, where there is one."""
        if self.own_module is None:
            return
        with starting(console):
            function = function_of(self.own_module)
            module = self.own_module if function is None else function[0]
            import_own(module, "own_module", self.own_module)


@contextlib.contextmanager
def json_file(path: Path | None, command: str, console: Console) -> Iterator[Callable[[str], Any]]:
    """Yield what writes the JSON of a command, which goes nowhere where no file was named.

    A folder that cannot be written, and a file of somebody else, are known before any work is done.

    Args:
        path: What --json names.
        command: The command's name.
        console: Where it is said that the file is written.
    """
    if path is None:
        yield lambda text: None
        return
    refuse_foreign_json(path, command, "--json")
    with written_beside(path) as beside:
        yield lambda text: beside.write_text(text, encoding="utf-8", newline="\n")
    say(console, f"Written to {path}")


@dataclasses.dataclass(frozen=True)
class Command:
    """A command: what reads its options, and what the general help says of it.

    Attributes:
        parse: What tyro turns into options and calls: a `Job` class, or a function that returns
            a job. Its docstring is the help. Where the word after the command is a recipe, a
            function that returns that, of the user's own recipe or None.
        examples: Command lines worth knowing, and what each does.
        per_recipe: Whether it is.
    """

    parse: Callable[..., Any]
    examples: Mapping[str, str]
    per_recipe: bool = False

    @property
    def summary(self) -> str:
        """What it does, in a sentence: how its help begins."""
        help_text = inspect.getdoc(self.parser()) or ""
        return " ".join(help_text.split("\n\n")[0].split())

    def parser(self, own: Any = None) -> Callable[..., Any]:
        """Return what tyro turns into options and calls.

        Args:
            own: A recipe of the user's own, `kd_keras.cli.per_recipe.Own`.
        """
        if not self.per_recipe:
            return self.parse
        made: Callable[..., Any] = self.parse(own)
        return made
