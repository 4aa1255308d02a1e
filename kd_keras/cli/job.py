"""What every command of the command line is."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import tyro
from rich.console import Console


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

    def parser(self, own: Any = None) -> Callable[..., Any]:
        """Return what tyro turns into options and calls.

        Args:
            own: A recipe of the user's own, `kd_keras.cli.per_recipe.Own`.
        """
        if not self.per_recipe:
            return self.parse
        made: Callable[..., Any] = self.parse(own)
        return made
