"""Find a trained teacher and the data that it knows. Imports TensorFlow when it loads one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kd_keras.network_files import load_network, network_file
from kd_keras.recipes.stage import TEACHER, folder_name

if TYPE_CHECKING:
    import keras

    from kd_keras.data import Splits

_RUNS = Path("saved_models")


def teacher_file(dataset: str, teacher: str | os.PathLike[str] | None) -> Path | None:
    """Return the file of the teacher to use, or `None` where none was named or trained.

    Args:
        dataset: Name of the dataset, or path of a folder of images.
        teacher: A `.keras` file; `None` for the one that `kd-keras distill` left for the dataset.

    Raises:
        ValueError: If `teacher` is not a `.keras` file that exists.
    """
    if teacher is None:
        trained = _default_file(dataset)
        return trained if trained.is_file() else None
    return network_file(teacher, "teacher", _remedy(dataset))


def required_teacher(dataset: str, teacher: str | os.PathLike[str] | None) -> Path:
    """Return what `teacher_file` does, or raise with the command that trains a teacher."""
    path = teacher_file(dataset, teacher)
    if path is None:
        raise ValueError(
            f"A teacher is needed, and there is none at {_default_file(dataset)}. "
            f"{_remedy(dataset)}"
        )
    return path


def load_teacher(path: Path) -> keras.Model:
    """Return the teacher in a `.keras` file.

    Raises:
        ValueError: If Keras cannot read it.
    """
    return load_network(path, "teacher")


def load_data(
    dataset: str,
    teacher: keras.Model | None,
    data_dir: str | os.PathLike[str] | None,
    *,
    batch_size: int,
    seed: int,
    role: str = "teacher",
    limit: int | None = None,
    only_images: bool = True,
) -> Splits:
    """Return the data in the size of images that the teacher takes.

    Args:
        dataset: As `kd_keras.data.load` takes it.
        teacher: The network; None for the images in their own size.
        data_dir: As `kd_keras.data.load` takes it.
        batch_size: Examples in a batch.
        seed: Seed of the data's order.
        role: What an error calls the network.
        limit: As `kd_keras.data.load` takes it.
        only_images: Whether the job is for images of one class each, and for no other data.

    Raises:
        ValueError: As `kd_keras.data.load`, if the teacher was made for other data, or the data are
            not what the job is for.
        ConnectionError: If the data must be downloaded and cannot be.
    """
    from kd_keras import data

    shape: Any = getattr(teacher, "input_shape", None)
    is_fixed = isinstance(shape, tuple) and len(shape) == 4 and None not in shape[1:3]
    splits = data.load(
        dataset,
        data_dir=data_dir,
        batch_size=batch_size,
        seed=seed,
        image_size=shape[1:3] if is_fixed else None,
        limit=limit,
    )
    if only_images and splits.info.task != "image":
        raise ValueError(
            "`dataset` must hold images, each of one class, for this command. Received: "
            f"{dataset!r}, whose kind is {splits.info.task!r}. `kd-keras distill` and `kd-keras "
            "study` take it, and ask the teacher about each view."
        )
    if teacher is not None:
        _check_fit(teacher, splits, role)
    return splits


def _check_fit(teacher: Any, splits: Splits, role: str) -> None:
    info = splits.info
    last = {"text": "words in a text"}.get(info.task, "channels")
    for argument, takes, has in (
        (last, getattr(teacher, "input_shape", None), info.input_shape[-1]),
        ("classes", getattr(teacher, "output_shape", None), info.num_classes),
    ):
        if isinstance(takes, tuple) and takes[-1] not in (None, has):
            raise ValueError(
                f"`{role}` must fit the data: {info.name!r} has {has} {argument}. Received: a "
                f"{role} {teacher.name!r} for {takes[-1]} {argument}. Pass a {role} that was "
                "trained on these data."
            )


def _default_file(dataset: str) -> Path:
    return _RUNS / folder_name(dataset) / f"{TEACHER}.keras"


def _remedy(dataset: str) -> str:
    return f"Train one with `kd-keras distill {dataset}`, or pass --teacher FILE.keras."
