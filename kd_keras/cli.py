"""`kd-keras`: the command line around `kd_keras.commands`. Imports no TensorFlow itself."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Sequence

import tyro
from rich.console import Console
from rich.markup import escape

from kd_keras import __version__, commands

_DESCRIPTION = f"""\
Knowledge distillation with augmentation, from a teacher to a verified phone model (kd_keras
{__version__}).

  kd-keras distill digits            the whole way on embedded data, in about two minutes
  kd-keras distill digits --help     its options: every field of the recipe
  kd-keras distill cifar10 --smoke   try a long recipe in small
  kd-keras study digits              distillation with and without augmentation, over seeds

A run that was killed goes on with the same command; a finished one prints its table again."""

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
        {name: make() for name, make in commands.NAMED.items()},
        prog="kd-keras",
        description=_DESCRIPTION,
        args=arguments or ["--help"],
        config=(tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes),
    )
    try:
        job.run(shlex.join(["kd-keras", *arguments]), console)
    except KeyboardInterrupt:
        _complain("interrupted; the same command goes on after the last complete epoch")
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


def _complain(message: str) -> None:
    Console(stderr=True).print(f"[bold red]kd-keras: error:[/] {escape(message)}", highlight=False)


if __name__ == "__main__":
    raise SystemExit(main())
