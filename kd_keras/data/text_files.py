"""Texts of the user's own: a .csv or .tsv file, or a folder of .txt files."""

from __future__ import annotations

import csv
import hashlib
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kd_keras.class_names import check_class_names
from kd_keras.data.splits import split_folders
from kd_keras.data.texts import Texts, TextSource
from kd_keras.image_files import holds_instead, is_hidden

_REMEDY = "Rename or merge these classes."
TABLES = {".csv": ",", ".tsv": "\t"}
# What columns of published files are called; the first name that is there counts.
_TEXT_NAMES = ("text", "sentence", "review", "comment", "content")
_LABEL_NAMES = ("label", "class", "category", "sentiment", "target")


def is_of_texts(path: Path) -> bool:
    """Whether a path is a table, or a folder with .txt files and without images of classes."""
    return path.suffix.lower() in TABLES or holds_instead(path, ".txt")


def open_texts(path: Path) -> TextSource:
    """Return the texts of a table or a folder.

    Args:
        path: A .csv or .tsv file in UTF-8 whose first line names a column of texts and one of
            labels (`text` and `label`, or other usual names), all of which is `train`; or a folder
            with <class>/*.txt, or train/<class>/*.txt and test and
            validation likewise, a text in each file.

    Raises:
        ValueError: If there is no such file or folder, it cannot be read, a text is empty, or the
            classes have names that no label file can hold or are not all in `train`.
    """
    if path.suffix.lower() in TABLES:
        return _source(path, {"train": _table_rows(path)})
    folders = split_folders(path)
    return _source(path, {name: _folder_rows(name, folder) for name, folder in folders.items()})


def _table_rows(path: Path) -> list[tuple[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter=TABLES[path.suffix.lower()])
            names = [name for name in reader.fieldnames or () if name is not None]
            text, label = (_column(names, usual) for usual in (_TEXT_NAMES, _LABEL_NAMES))
            if text is None or label is None:
                raise ValueError(
                    f"A {path.suffix.lower()} file of texts must name the columns text and label "
                    f"in its first line; {', '.join(_TEXT_NAMES[1:])} and "
                    f"{', '.join(_LABEL_NAMES[1:])} will do too. Received: {str(path)!r} with the "
                    f"columns {names[:6]}. Rename yours."
                )
            rows = [(row[text] or "", row[label] or "") for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"A table of texts must be readable as UTF-8. Received: {str(path)!r}: {error}."
        ) from error
    for number, (text, label) in enumerate(rows, start=1):
        if not text.strip() or not label.strip():
            raise ValueError(
                "Every row of a table of texts must have a text and a label. Received: an empty "
                f"one in row {number} of {str(path)!r}, the first after the names being 1. Fill it "
                "or remove the row."
            )
    return rows


def _column(names: Sequence[str], usual: Sequence[str]) -> str | None:
    """Return the column that has one of the usual names, in small or capital letters."""
    by_name = {name.strip().lower(): name for name in reversed(names)}
    return next((by_name[name] for name in usual if name in by_name), None)


def _folder_rows(split: str, folder: Path) -> list[tuple[str, str]]:
    rows = []
    for file in sorted(folder.glob("*/*.txt")):
        if is_hidden(file) or is_hidden(file.parent):
            continue
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(
                f"A text must be readable as UTF-8. Received: {str(file)!r}: {error}."
            ) from error
        if not text.strip():
            raise ValueError(f"A text must not be empty. Received: {str(file)!r}. Remove the file.")
        rows.append((text, file.parent.name))
    random.Random(split).shuffle(rows)  # or the end of `train` would be of one class
    return rows


def _source(path: Path, rows: dict[str, list[tuple[str, str]]]) -> TextSource:
    classes = sorted({label for _, label in rows.get("train", ())})
    unseen = sorted({label for part in rows.values() for _, label in part} - set(classes))
    if len(classes) < 2 or unseen:
        raise ValueError(
            "The training texts must be of two classes or more, and of all that there are. "
            f"Received: {str(path)!r} with the classes {classes[:6]} in train, and only elsewhere "
            f"{unseen[:6]}. Expected: a .csv file with the columns text and label, or "
            "<folder>/<class>/*.txt, or <folder>/train/<class>/*.txt."
        )
    check_class_names(classes, repr(str(path)), _REMEDY)
    splits = {name: _texts(part, classes) for name, part in rows.items()}
    digest = hashlib.sha256(repr(sorted(rows.items())).encode())
    return TextSource(path.name, tuple(classes), splits, digest.hexdigest()[:16])


def _texts(rows: Sequence[tuple[str, str]], classes: Sequence[str]) -> Texts:
    labels = np.array([classes.index(label) for _, label in rows], "int64")
    return Texts([text for text, _ in rows], labels)
