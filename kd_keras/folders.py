"""A folder to write into, the files in it, and whose page is there. Below every room."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath, PureWindowsPath

from kd_keras.regular_file import open_regular

# The head of a page, up to its styles, is shorter.
_HEAD_BYTES = 2048


def made_folder(path: str | os.PathLike[str], argument: str, remedy: str) -> Path:
    """Return the folder, made with those above it where it is not yet.

    Args:
        path: The folder.
        argument: What the error calls it.
        remedy: What the error recommends.

    Raises:
        ValueError: If it cannot be made.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"`{argument}` cannot be made a folder: {error.strerror}. {remedy} "
            f"Received: {argument}={str(path)!r}"
        ) from error
    return folder


def is_name(value: object) -> bool:
    """Return whether `value`, read from a file, names a file in that file's folder and no other."""
    if not isinstance(value, str) or value in ("", ".", "..") or "\0" in value:
        return False
    return PurePosixPath(value).name == PureWindowsPath(value).name == value


def file_inside(folder: Path, name: str) -> Path:
    """Return the path of a file in a folder that may be a stranger's.

    Args:
        folder: The folder.
        name: Of the file, which need not exist.

    Raises:
        ValueError: If `name` is more than a name, or what it names is a link to what lies
            elsewhere, or no file.
    """
    path = folder / str(name)
    leads_out = path.is_symlink() and path.resolve().parent != folder.resolve()
    if not is_name(name) or leads_out:
        raise ValueError(
            f"{name!r} leads out of {str(folder)!r}. Put the file itself into that folder."
        )
    if path.exists() and not path.is_file():
        raise ValueError(f"{str(path)!r} must be a file, and is none. Remove it.")
    return path


def own_mark(kind: str) -> str:
    """Return the element in the head of a page by which this package knows its own pages again.

    Args:
        kind: Which of its pages.
    """
    return f'<meta name="generator" content="kd_keras {kind}">'


def is_own_page(path: Path, kind: str) -> bool:
    """Whether `path` is a page of this package, and a file itself: no link, no folder.

    Args:
        path: The page.
        kind: As for `own_mark`.
    """
    if path.is_symlink() or not path.is_file():
        return False
    with open_regular(path) as page:
        return own_mark(kind).encode() in page.read(_HEAD_BYTES)


def refuse_foreign_page(path: Path, kind: str) -> None:
    """Raise where a page of somebody else would be overwritten.

    Args:
        path: Where a page is to appear.
        kind: As for `own_mark`.

    Raises:
        ValueError: If something is there that is no such page.
    """
    if os.path.lexists(path) and not is_own_page(path, kind):
        raise ValueError(
            f"{str(path)!r} is no page that `kd-keras {kind}` wrote, and is not overwritten. Move "
            "it away, or choose another folder with --output."
        )
