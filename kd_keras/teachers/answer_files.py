"""Answers of a teacher out of a file that another program wrote."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from kd_keras.archives import arrays_in, refuse_expansion

_SUFFIXES = (".npz", ".csv", ".parquet", ".tfrecord")


class Answers(NamedTuple):
    """Ids, `(examples,)`, and what was said of each, `(examples, ..., classes)`."""

    ids: Any
    values: Any


def read_answers(path: str | os.PathLike[str], ids: str, values: str | Sequence[str]) -> Answers:
    """Return the answers in a file.

    Args:
        path: A .npz, .csv, .parquet or .tfrecord file.
        ids: Name of the array, column or feature with the ids.
        values: Name of the one with the answers, or names of columns with one class each.

    Raises:
        ValueError: If the file cannot be read, is of another kind, or lacks a name.
    """
    path = Path(path)
    readers = dict(zip(_SUFFIXES, (_npz, _csv, _parquet, _tfrecord), strict=True))
    reader = readers.get(path.suffix.lower())
    if reader is None or not path.is_file():
        raise ValueError(
            f"`path` must be a file that ends in {', '.join(_SUFFIXES)}. Received: {str(path)!r}."
        )
    names = [values] if isinstance(values, str) else list(values)
    try:
        found = reader(path, [ids, *names])
        columns = [_stacked(name, found[name]) for name in names]
    except KeyError as error:
        raise ValueError(
            f"{str(path)!r} has no {error.args[0]}. Say what it is called there."
        ) from error
    except Exception as error:  # Arrow, NumPy and TensorFlow have many of their own
        raise ValueError(f"{str(path)!r} cannot be read: {error}") from error
    joined = columns[0] if isinstance(values, str) else np.stack(columns, axis=-1)
    return Answers(found[ids], joined)


def _stacked(name: str, column: Any) -> np.ndarray:
    """Return a column of numbers, or of lists of one length, as one array."""
    try:
        values = np.asarray(column)
        if values.dtype == object:
            values = np.stack([np.asarray(value, "float32") for value in values])
        return values.astype("float32")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name!r} must hold numbers, or lists of numbers of one length. It says: {error}"
        ) from error


def _npz(path: Path, names: Sequence[str]) -> dict[str, Any]:
    with arrays_in(path) as arrays:
        return {name: np.asarray(arrays[_known(name, arrays.files)]) for name in names}


def _csv(path: Path, names: Sequence[str]) -> dict[str, Any]:
    from pyarrow import csv

    return _columns(csv.read_csv(path), names)


def _parquet(path: Path, names: Sequence[str]) -> dict[str, Any]:
    from pyarrow import compute, parquet

    described = parquet.read_metadata(path)
    _refuse_many_values(described, path.stat().st_size, names)
    # As often as a text is repeated, it is in memory once.
    table = parquet.read_table(path, columns=list(names), read_dictionary=list(names))
    for chunk in (chunk for column in table.columns for chunk in column.chunks):
        if hasattr(chunk, "dictionary"):
            lengths = compute.binary_length(chunk.dictionary).take(chunk.indices)
            refuse_expansion(path.stat().st_size, compute.sum(lengths).as_py() or 0)
    return _columns(table, names)


def _refuse_many_values(described: Any, size: int, names: Sequence[str]) -> None:
    """Raise where a few bytes of a .parquet file, which are repeated, stand for gigabytes."""
    leaves = [described.schema.column(index) for index in range(described.num_columns)]
    for name in names:
        _known(name, [leaf.path.split(".")[0] for leaf in leaves])
    unpacked = 0
    for group in map(described.row_group, range(described.num_row_groups)):
        for index, leaf in enumerate(leaves):
            column, chunk = leaf.path.split(".")[0], group.column(index)
            if column not in names:
                continue
            if column != names[0] and leaf.physical_type == "BYTE_ARRAY":
                raise ValueError(f"{column!r} must hold numbers, and holds text")
            bytes_of_values = chunk.num_values * max(8, leaf.length or 0)
            unpacked += max(bytes_of_values, chunk.total_uncompressed_size)
    refuse_expansion(size, unpacked)


def _columns(table: Any, names: Sequence[str]) -> dict[str, Any]:
    known = table.column_names
    return {n: table.column(_known(n, known)).to_numpy(zero_copy_only=False) for n in names}


def _tfrecord(path: Path, names: Sequence[str]) -> dict[str, Any]:
    found: dict[str, list[Any]] = {name: [] for name in names}
    for record in tf.data.TFRecordDataset(str(path)):
        features = tf.train.Example.FromString(record.numpy()).features.feature
        for name in names:
            feature = features[_known(name, list(features))]
            value = list(getattr(feature, feature.WhichOneof("kind")).value)
            found[name].append(value[0] if name == names[0] else value)
    return {
        name: np.array(values) if name == names[0] else [np.array(value) for value in values]
        for name, values in found.items()
    }


def _known(name: str, names: Sequence[str]) -> str:
    if name not in names:
        raise KeyError(f"{name}, only {', '.join(names)}")
    return name
