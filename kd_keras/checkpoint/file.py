"""The file of a checkpoint: whole or not at all, and refused where it is not what it should be."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kd_keras.archives import arrays_in
from kd_keras.arguments import check_integer
from kd_keras.checkpoint.seal import is_whole, seal
from kd_keras.checkpoint.state import Described
from kd_keras.json_text import parse_json
from kd_keras.whole_file import (
    UnwritableError,
    refuse_unwritable,
    remove_unfinished,
    written_beside,
)

_FORMAT = 2
_HEADER = "header"
_ANEW = "To begin anew, delete the file or choose another `path`."


@dataclasses.dataclass(frozen=True)
class Header:
    """What is known about a checkpoint before any variable is read.

    Attributes:
        step: Steps of the epoch after the last complete one that are done; 0 after an epoch.
        steps_per_epoch: Steps in an epoch.
        history: The logs of every complete epoch.
        stopped: Whether a callback ended the training early.
        optimizer: The kind of optimizer.
        teacher: What tells a Distiller's teacher from others.
        variables: What the variables are, in the order of their values.
    """

    step: int
    steps_per_epoch: int
    history: list[dict[str, Any]]
    stopped: bool
    optimizer: str
    teacher: str
    variables: list[Described]

    @property
    def has_teacher(self) -> bool:
        """Whether the teacher moved while it taught, and is in the file."""
        return any(variable.part == "teacher" for variable in self.variables)

    def __str__(self) -> str:
        epochs = f"{len(self.history)} complete epochs"
        return f"{epochs} and {self.step} steps" if self.step else epochs


@dataclasses.dataclass(frozen=True)
class CheckpointFile:
    """A file with a header and the values of variables.

    Attributes:
        path: Where it is.
    """

    path: Path

    def header(self) -> Header | None:
        """Return what the file says of itself, or `None` where there is no file."""
        return self._read(values=False)[0]

    def read(self) -> tuple[Header | None, list[np.ndarray]]:
        """Return header and values; `None` and nothing where there is no file.

        Raises:
            ValueError: If the file is damaged, or is of another format.
        """
        return self._read(values=True)

    def prepare(self) -> None:
        """Make the folder, remove what a killed process left unfinished, and see if one may write.

        Raises:
            ValueError: If the file could not be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"The folder of `path` cannot be created: {error.strerror}. Choose a folder that "
                f"you may write to. Received: path={str(self.path)!r}"
            ) from error
        remove_unfinished(self.path.parent, self.path.name)
        refuse_unwritable(self.path)

    def write(self, header: Header, values: Sequence[np.ndarray]) -> None:
        """Write all of it, or leave the file as it was.

        Raises:
            UnwritableError: If the disk is full, or the folder is gone or may not be written.
        """
        text = json.dumps({"format": _FORMAT, **dataclasses.asdict(header)})
        arrays: dict[str, Any] = {str(index): value for index, value in enumerate(values)}
        arrays[_HEADER] = np.array(text)
        least = sum(array.nbytes for array in arrays.values())
        try:
            with written_beside(self.path, least) as beside:
                with open(beside, "wb") as file:
                    np.savez(file, **arrays)
                seal(beside)
        except UnwritableError as error:
            kept = self.header()
            raise UnwritableError(
                f"The checkpoint of {header} cannot be written. "
                f"{'There is none yet' if kept is None else f'The one of {kept} is intact'}, and "
                f"the model keeps its state. {error}",
                error.path,
                error.errno,
            ) from error

    def _read(self, values: bool) -> tuple[Header | None, list[np.ndarray]]:
        if not self.path.is_file():
            return None, []  # what else it may be, `prepare` says
        try:
            whole = is_whole(self.path)
            with arrays_in(self.path) as arrays:
                header = None if _HEADER not in arrays else _parsed(arrays[_HEADER].item())
                if header is not None and not whole:
                    raise ValueError("its bytes are not those that were written")
                if header is not None and values:
                    return header, [
                        _typed(arrays[str(index)], variable)
                        for index, variable in enumerate(header.variables)
                    ]
        except Exception as error:  # zip, NumPy and JSON: each has many of its own
            raise ValueError(
                f"The checkpoint is damaged ({error}). Put back a whole copy. {_ANEW} Received: "
                f"path={str(self.path)!r}"
            ) from error
        if header is None:
            raise ValueError(
                "The file is no checkpoint that this version of kd_keras reads. Go on with the "
                f"version that wrote it. {_ANEW} Received: path={str(self.path)!r}"
            )
        return header, []

    def other(self, difference: str, remedy: str) -> ValueError:
        """Return the error for a checkpoint that does not fit what is trained."""
        return ValueError(
            f"The checkpoint is of another training: {difference}. {remedy} {_ANEW} Received: "
            f"path={str(self.path)!r}"
        )


def _parsed(text: str) -> Header | None:
    fields = parse_json(text)
    if fields.pop("format") != _FORMAT:
        return None
    check_integer("step", fields["step"], 0)
    check_integer("steps_per_epoch", fields["steps_per_epoch"], 1)
    if not all(isinstance(logs, dict) for logs in fields["history"]):
        raise TypeError("its history is none")
    fields["variables"] = [
        Described(part, name, tuple(shape), dtype)
        for part, name, shape, dtype in fields["variables"]
    ]
    return Header(**fields)


def _typed(values: np.ndarray, variable: Described) -> np.ndarray:
    dtype = np.dtype(tf.as_dtype(variable.dtype).as_numpy_dtype)
    # NumPy does not know bfloat16 and reads back nothing but its bytes.
    typed = values.view(dtype) if values.dtype.kind == "V" else values
    if (typed.shape, typed.dtype) != (variable.shape, dtype):
        raise TypeError(f"the values of {variable} are of shape {typed.shape}, {typed.dtype}")
    return typed
