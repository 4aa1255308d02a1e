"""`kd-keras`: finds the command, runs it and turns errors into words. Imports no TensorFlow."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Sequence

import tyro
from rich.console import Console
from rich.markup import escape

from kd_keras import __version__
from kd_keras.commands import COMMANDS

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows `kd-keras`; by default this process's own arguments.

    Returns:
        The exit code: 0 if all went well, 1 after an error, 130 if interrupted. Usage errors and
        `--help` leave through `SystemExit`, with 2 and 0.
    """
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
    job = tyro.extras.subcommand_cli_from_dict(
        {name: command.parse for name, command in COMMANDS.items()},
        prog="kd-keras",
        description=_description(),
        args=arguments or ["--help"],
        config=(tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes),
    )
    try:
        job.run(shlex.join(["kd-keras", *arguments]), console)
    except KeyboardInterrupt:
        _complain(job.interrupted)
        return _INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        if job.debug or os.environ.get("KD_KERAS_DEBUG", "") not in ("", "0"):
            traceback.print_exc()
        else:
            _complain(f"{error or type(error).__name__} (traceback: --debug)")
        return 1
    return 0


def _description() -> str:
    examples = {
        line: meaning for command in COMMANDS.values() for line, meaning in command.examples.items()
    }
    width = max(map(len, examples))
    lines = [f"  {line:{width}}   {meaning}" for line, meaning in examples.items()]
    return "\n".join(
        [
            "Knowledge distillation with augmentation, from a teacher to a verified phone model",
            f"(kd_keras {__version__}).",
            "",
            *lines,
            "",
            "A run that was killed goes on with the same command; a finished one prints its table "
            "again.",
        ]
    )


def _complain(message: str) -> None:
    Console(stderr=True).print(f"[bold red]kd-keras: error:[/] {escape(message)}", highlight=False)


if __name__ == "__main__":
    raise SystemExit(main())
