"""What is handed on says which file, and not where it lay on the maker's machine."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path


def portable(path: str | os.PathLike[str]) -> str:
    """Return a path as it was typed where that is relative; of any other, the last name alone.

    Args:
        path: A path, or the name of something that is no file.

    Example:

    >>> from kd_keras.portable import portable
    >>> portable("/home/me/pets"), portable("runs/pets"), portable("cifar10")
    ('pets', 'runs/pets', 'cifar10')
    """
    text = os.fspath(path)
    folders = Path(text)
    is_ours = folders.is_absolute() or text.startswith("~")
    return folders.name or text if is_ours else text


def portable_command(arguments: Sequence[str]) -> str:
    """Return a command line that can be handed on: `portable` arguments, quoted for a shell.

    Example:

    >>> from kd_keras.portable import portable_command
    >>> portable_command(["kd-keras", "predict", "--labels=/home/me/names.txt", "/tmp/a.tflite"])
    'kd-keras predict --labels=names.txt a.tflite'
    """
    return shlex.join(map(_portable_argument, arguments))


def _portable_argument(argument: str) -> str:
    option, equals, value = argument.partition("=")
    if equals and option.startswith("-"):
        return f"{option}={portable(value)}"
    return portable(argument)
