"""`kd-keras`: the recipes as commands and their fields as options. Imports no TensorFlow itself."""

from __future__ import annotations

import dataclasses
import inspect
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Union

import tyro
from rich.console import Console
from rich.markup import escape

from kd_keras import __version__, recipes, run

_DESCRIPTION = f"""\
Knowledge distillation with augmentation, from a teacher to a verified phone model (kd_keras
{__version__}).

  kd-keras distill digits            the whole way on embedded data, in about two minutes
  kd-keras distill digits --help     its options: every field of the recipe
  kd-keras distill cifar10 --smoke   try a long recipe in small

A run that was killed goes on with the same command; a finished one prints its table again."""

_INTERRUPTED = 130


@dataclasses.dataclass(frozen=True)
class Distill:
    """One `kd-keras distill ...`.

    Attributes:
        recipe: What decides the result.
        name: Name of the recipe.
        output: Folder of the run; by default saved_models/<recipe>, with -smoke for --smoke.
        data_dir: Where TensorFlow Datasets keeps its data; its own default otherwise.
        smoke: Run small: at most 2 epochs of 256 examples. For trying out, not for results.
        fresh: Delete an earlier run in the folder and start over.
        robustness: Measure under corruptions, shifts and attacks too, on at most 1,000 test images.
        debug: Show the traceback of an error (also: KD_KERAS_DEBUG=1).
    """

    recipe: recipes.Recipe
    name: tyro.conf.Suppress[str]
    output: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    data_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    smoke: tyro.conf.FlagCreatePairsOff[bool] = False
    fresh: tyro.conf.FlagCreatePairsOff[bool] = False
    robustness: bool = True
    debug: tyro.conf.FlagCreatePairsOff[bool] = False


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
        {"distill": _distill_command()},
        prog="kd-keras",
        description=_DESCRIPTION,
        args=arguments or ["--help"],
        config=(tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes),
    )
    try:
        _run(job, shlex.join(["kd-keras", *arguments]), console)
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


def _distill_command() -> Any:
    """Return the function that the command line calls, typed by the recipes that there are."""
    jobs = [
        Annotated[
            Distill,
            tyro.conf.subcommand(
                name,
                default=Distill(recipe=make(), name=name),
                description=inspect.getdoc(inspect.getmodule(make)),
            ),
        ]
        for name, make in recipes.NAMED.items()
    ]

    def distill(job: Distill) -> Distill:
        """Train a teacher, a student alone and a distilled student; export and verify them."""
        return job

    distill.__annotations__["job"] = Union[tuple(jobs)]  # noqa: UP007
    return distill


def _run(job: Distill, command: str, console: Console) -> None:
    folder = f"{job.name}-smoke" if job.smoke else job.name
    run.distill(
        job.recipe.smoke() if job.smoke else job.recipe,
        job.output or Path("saved_models") / folder,
        data_dir=job.data_dir,
        fresh=job.fresh,
        robustness=job.robustness,
        command=command,
        console=console,
    )


def _complain(message: str) -> None:
    Console(stderr=True).print(f"[bold red]kd-keras: error:[/] {escape(message)}", highlight=False)


if __name__ == "__main__":
    raise SystemExit(main())
