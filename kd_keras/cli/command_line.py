"""`kd-keras`: finds the command, runs it and turns errors into words. Imports no TensorFlow."""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from kd_keras import __version__, memory_errors, recipes
from kd_keras.cli import per_recipe, usage
from kd_keras.cli.commands import COMMANDS
from kd_keras.cli.job import NotGoodEnough
from kd_keras.escaping import terminal, visible
from kd_keras.portable import portable_command

_NOT_GOOD_ENOUGH = 3
_INTERRUPTED = 130
_DESCRIPTION = (
    "Knowledge distillation with augmentation, from a teacher to a verified phone model\n"
    f"(kd_keras {__version__})."
)
_CLOSING = (
    "A run that was killed goes on with the same command; a finished one prints its table again."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows `kd-keras`; by default this process's own arguments.

    Returns:
        The exit code: 0 if all went well, 1 after an error, 3 where a stated threshold is missed,
        130 if interrupted. Usage errors and `--help` leave through `SystemExit`, with 2 and 0.
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal that knows no dash or box shows a question mark in its place.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        return _main(list(sys.argv[1:] if arguments is None else arguments))
    except BrokenPipeError:
        # Whoever read the output has seen enough, as in `kd-keras --help | head`. Python would
        # complain once more when it flushes what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _main(arguments: list[str]) -> int:
    console = Console()
    if arguments == ["--version"]:
        console.print(f"kd-keras {__version__}", highlight=False)
        return 0
    if arguments in ([], ["-h"], ["--help"]):
        _print_help(console)
        raise SystemExit(0)
    job = _parsed(arguments)
    try:
        with memory_errors.told(_asked_for(job), "Ask for less of it, or give the process more."):
            job.run(visible(portable_command(["kd-keras", *arguments])), console)
    except KeyboardInterrupt as interrupt:
        # Who was interrupted says how to go on, if there is anything to go on with.
        _complain("; ".join(filter(None, ("interrupted", str(interrupt)))))
        return _INTERRUPTED
    except BrokenPipeError:
        raise
    except NotGoodEnough as verdict:
        _complain(str(verdict))
        return _NOT_GOOD_ENOUGH
    except Exception as error:
        if job.debug or os.environ.get("KD_KERAS_DEBUG", "") not in ("", "0"):
            sys.stderr.write(visible(traceback.format_exc(), keep="\n"))
        else:
            _complain(f"{error or type(error).__name__} (traceback: --debug)")
        return 1
    return 0


def _asked_for(job: Any) -> str:
    """Return the options of a command that decide how much memory it takes."""
    names = ("batch_size", "image_size", "limit", "examples", "robustness_examples", "views")
    given = {**vars(job), **vars(getattr(job, "recipe", object))}
    told = [f"--{n.replace('_', '-')} {given[n]}" for n in names if given.get(n) is not None]
    return ", ".join(told) or "what the files and the data of the command need"


def _print_help(console: Console) -> None:
    """Print what the commands are for, in the order in which a model comes to need them."""
    console.print("usage: kd-keras COMMAND ...\n", highlight=False, markup=False)
    console.print(f"{_DESCRIPTION}\n", highlight=False)
    for rows in (
        [(name, command.summary) for name, command in COMMANDS.items()],
        [("COMMAND --help", "all that a command can do"), ("--version", "which version this is")],
        [row for command in COMMANDS.values() for row in command.examples.items()],
    ):
        table = RichTable.grid(padding=(0, 3, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column()
        for left, right in rows:
            table.add_row(Text(f"  {left}", style="bold"), Text(right))
        console.print(table)
        console.print()
    console.print(_CLOSING, highlight=False)


def _parsed(arguments: list[str]) -> Any:
    """Return the job that the arguments ask for, or leave by `SystemExit` as `main` says."""
    held = io.StringIO()
    asks_for_help = not {"-h", "--help"}.isdisjoint(arguments)
    lines = contextlib.nullcontext() if asks_for_help else usage.unwrapped()
    arguments, own = _in_words_of_the_parser(arguments)
    try:
        with contextlib.redirect_stderr(held), lines:
            return tyro.extras.subcommand_cli_from_dict(
                {name: command.parser(own) for name, command in COMMANDS.items()},
                prog="kd-keras",
                description=_DESCRIPTION,
                args=arguments,
                config=(tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes),
            )
    except SystemExit as leaving:
        refused = _refused_value(leaving) if "__tyro" in held.getvalue() else None
        if leaving.code:
            # tyro would put a name of its own before the words of the recipe that was refused.
            said = refused or _mistyped(arguments) or usage.in_one_line(held.getvalue())
            _complain(f"{said} (see {shlex.join(['kd-keras', *_known(arguments)])} --help)")
        raise


def _in_words_of_the_parser(arguments: list[str]) -> tuple[list[str], per_recipe.Own | None]:
    command = COMMANDS.get(arguments[0]) if arguments else None
    if command is None or not command.per_recipe:
        return arguments, None
    try:
        return per_recipe.own_recipe(arguments)
    except ValueError as error:
        _complain(f"{error} (see {shlex.join(['kd-keras', arguments[0]])} --help)")
        raise SystemExit(2) from None


def _refused_value(error: BaseException | None) -> ValueError | None:
    while error is not None and not isinstance(error, ValueError):
        error = error.__context__
    return error


def _known(arguments: list[str]) -> list[str]:
    """Return the command that the arguments begin with, and the recipe behind it."""
    command = COMMANDS.get(arguments[0]) if arguments else None
    if command is None:
        return []
    names = (*recipes.NAMED, per_recipe.DATA)
    return arguments[: 2 if command.per_recipe and arguments[1:2] and arguments[1] in names else 1]


def _mistyped(arguments: list[str]) -> str | None:
    """Return what to say of a command that there is not, with the one it is near to."""
    if not arguments or arguments[0] in COMMANDS or arguments[0].startswith("-"):
        return None
    close = difflib.get_close_matches(arguments[0], COMMANDS, n=1)
    better = shlex.join(["kd-keras", *close, *arguments[1:2]])
    meant = f" Did you mean `{better}`?" if close else ""
    return f"there is no {arguments[0]!r}, only {', '.join(COMMANDS)}.{meant}"


def _complain(message: str) -> None:
    # A line break in a name must not begin what looks like a line of ours.
    indented = message.replace("\n", "\n  ")
    text = Text.assemble(("kd-keras: error:", "bold red"), " ", terminal(indented, keep="\n"))
    Console(stderr=True).print(text, highlight=False, soft_wrap=True)
