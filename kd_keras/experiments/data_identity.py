"""Which data a folder of results belongs to: written into it, and compared when work goes on.

A recipe names its data by a word or a path, and neither says what lies there: another `data_dir`,
another working folder or a changed folder of images would mix results of different data.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kd_keras.experiments.own_files import files_of, own_files
from kd_keras.image_files import OF_NO_IMAGES, fingerprint
from kd_keras.json_text import read_json
from kd_keras.recipes.recipe import Recipe
from kd_keras.recipes.stage import TEACHER
from kd_keras.whole_file import write_whole

DATA = "data.json"

OWN_NETWORKS = "own_networks"
_IMAGES = "images"
_LONGEST_VALUE = 80
# How the differences of fields are told where their names would not do.
_READABLE = {_IMAGES: "the digest of the images' names and sizes"}


def keep_or_refuse(path: Path, data: Mapping[str, Any], remedy: str) -> None:
    """Note in `path` that its results are of `data`, or raise where they are of others.

    Args:
        path: The folder of the results.
        data: From `kd_keras.data.DataInfo.identity`.
        remedy: What the error recommends.

    Raises:
        ValueError: If the folder holds results of other data, or its note cannot be read.
    """
    if not (path / DATA).exists():
        write_whole(path / DATA, as_text(data))
    _refuse_difference(path, _read(path, remedy) or {}, data, remedy)


def identity_in(path: Path, remedy: str) -> dict[str, Any]:
    """Return what the note in a folder of results says of its data.

    Raises:
        ValueError: If there is no such note, or it cannot be read.
    """
    data = _read(path, remedy)
    if data is None:
        raise ValueError(f"{str(path)!r} has no {DATA}, which says what data it is of. {remedy}")
    return data


def refuse_other_teacher(there: Path, data: Mapping[str, Any], remedy: str) -> None:
    """Raise where a folder's teachers are of other data than `data`, or of another own file.

    Its students may be others.

    Raises:
        ValueError: If they are, or the folder's note is missing or cannot be read.
    """
    then, now = (_of_the_teacher(found) for found in (identity_in(there, remedy), data))
    _refuse_difference(there, then, now, remedy)


def _of_the_teacher(data: Mapping[str, Any]) -> dict[str, Any]:
    return {**data, OWN_NETWORKS: files_of(TEACHER, _own_networks(data))}


def as_text(data: Mapping[str, Any]) -> str:
    """Return the text of the note that says which data they are."""
    return json.dumps(data, indent=2) + "\n"


def refuse_other_images(
    path: Path, recipe: Recipe, data_dir: str | os.PathLike[str] | None, remedy: str
) -> str | None:
    """Compare a finished run's data with the present ones as far as that needs no TensorFlow.

    A dataset of the catalogue is named by the recipe, and what is prepared of it is TensorFlow
    Datasets' to read. A folder of images is compared by the names and sizes of its files, and so
    are the user's own files of networks, by their digests.

    Args:
        path: The folder of the finished run.
        recipe: Its recipe.
        data_dir: Where the data lie, as `kd_keras.data.load` takes it.
        remedy: What the error recommends.

    Returns:
        Why nothing could be compared, or None where it was or needs not be.

    Raises:
        ValueError: If the run's images were others, or its note cannot be read.
    """
    then = _read(path, remedy)
    if then is None:
        return f"it has no {DATA}, which says what data it is of"
    if OWN_NETWORKS in then:
        try:
            networks = own_files(recipe)
        except (OSError, ValueError) as error:
            return f"a file of a network is not there now ({error})"
        _refuse_difference(path, then, {**then, OWN_NETWORKS: networks}, remedy)
    if _IMAGES not in then:
        return None
    folder = data_dir if recipe.dataset == "folder" else recipe.dataset
    if folder is None or not Path(folder).expanduser().is_dir():
        return f"its images are not at {'no data_dir' if folder is None else str(folder)!r} now"
    if then[_IMAGES] == OF_NO_IMAGES:
        return "an earlier version of kd_keras did not note the images of a folder of classes alone"
    now = {**then, _IMAGES: fingerprint(Path(folder).expanduser())}
    _refuse_difference(path, then, now, remedy)
    return None


def _read(path: Path, remedy: str) -> dict[str, Any] | None:
    try:
        fields = read_json(path / DATA)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ValueError(f"{str(path / DATA)!r} cannot be read: {error}. {remedy}") from error
    if not isinstance(fields, dict):
        raise ValueError(
            f"{str(path / DATA)!r} must be a JSON object that says what the data are. Received: "
            f"{str(fields)[:_LONGEST_VALUE]}. {remedy}"
        )
    return fields


def _refuse_difference(
    path: Path, then: Mapping[str, Any], now: Mapping[str, Any], remedy: str
) -> None:
    # Of the files of networks, those that differ are named.
    then, now = _flat(then), _flat(now)
    fields = "; ".join(
        f"{_READABLE.get(name, name)} is {_short(then.get(name))} there and "
        f"{_short(now.get(name))} here"
        for name in {**then, **now}
        if then.get(name) != now.get(name)
    )
    if fields:
        raise ValueError(f"{str(path)!r} holds results of other data: {fields}. {remedy}")


def _own_networks(data: Mapping[str, Any]) -> Mapping[str, Any]:
    own = data.get(OWN_NETWORKS)
    return own if isinstance(own, Mapping) else {}


def _flat(data: Mapping[str, Any]) -> dict[str, Any]:
    own = _own_networks(data)
    files = {f"the digest of the network's file {name!r}": own[name] for name in own}
    return {**{name: value for name, value in data.items() if name != OWN_NETWORKS}, **files}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 4]} ..."
