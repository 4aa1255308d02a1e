"""A folder to write into, the files in it, and whose they are. Below every room."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

from kd_keras.regular_file import open_regular

# What says that a file is ours stands within so many bytes: a page is that long up to its styles.
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
    if not is_name(name) or _leads_out(path):
        raise ValueError(
            f"{name!r} leads out of {str(folder)!r}. Put the file itself into that folder."
        )
    if path.exists() and not path.is_file():
        raise ValueError(f"{str(path)!r} must be a file, and is none. Remove it.")
    return path


def refuse_links_out(folder: Path, names: Iterable[str] | None = None) -> None:
    """Raise where what is written into a folder, which may be a stranger's, would go elsewhere.

    Args:
        folder: The folder, which need not exist.
        names: What is to be written; by default all that is there.

    Raises:
        ValueError: If one of them is a link to what lies elsewhere, or to nothing.
    """
    if names is None:
        names = os.listdir(folder) if folder.is_dir() else ()
    for name in sorted(names):
        if _leads_out(folder / name):
            raise ValueError(
                f"{name!r} in {str(folder)!r} is a link that leads out of it, and what it leads to "
                "would be overwritten. Put the file or folder itself there, or choose another "
                "folder."
            )


def _leads_out(path: Path) -> bool:
    return path.is_symlink() and path.resolve().parent != path.parent.resolve()


def refuse_strangers(folder: Path, kind: str, file: str) -> None:
    """Raise where a folder that holds nothing of ours holds something of somebody else.

    Args:
        folder: The folder.
        kind: What it would hold, such as "run".
        file: The file by which such a folder is known.

    Raises:
        ValueError: If there is anything in it that is not hidden.
    """
    strangers = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if strangers:
        raise ValueError(
            f"{str(folder)!r} is not empty and holds no {kind}: there is no {file} of ours in it. "
            f"Received: a folder with {strangers[:5]}{' and more' if len(strangers) > 5 else ''}. "
            "Nothing in it is touched. Choose another folder with --output."
        )


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
    return not path.is_symlink() and path.is_file() and own_mark(kind).encode() in _head(path)


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


def refuse_foreign_file(path: Path, mark: str, command: str, option: str = "--output") -> None:
    """Raise where a file of somebody else would be overwritten, as one that was mistyped.

    Args:
        path: Where a file is to appear. An empty one holds nothing to lose.
        mark: What stands near the beginning of every such file of ours.
        command: The command that writes them.
        option: What chooses the file.

    Raises:
        ValueError: If something is there that is no such file.
    """
    if path.exists() and not (path.is_file() and mark.encode() in (_head(path) or mark.encode())):
        raise ValueError(
            f"{str(path)!r} is no file that `kd-keras {command}` wrote, and is not overwritten. "
            f"Move it away, or choose another with {option}."
        )


def refuse_foreign_json(path: Path, command: str, option: str) -> None:
    """Raise where JSON of a command would overwrite what is no such JSON.

    Args:
        path: As for `refuse_foreign_file`.
        command: As for `refuse_foreign_file`; what it writes begins with its command line.
        option: As for `refuse_foreign_file`.

    Raises:
        ValueError: As `refuse_foreign_file`.
    """
    refuse_foreign_file(path, f'"command": "kd-keras {command}', command, option)


def _head(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read(_HEAD_BYTES)
