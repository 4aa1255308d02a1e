"""Verify a `.tflite` file on the test split of a dataset, by their names."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from kd_keras.network_files import load_network, network_file
from kd_keras.quiet_start import starting
from kd_keras.report.environment import environment
from kd_keras.report.progress import progress_bar

if TYPE_CHECKING:
    from kd_keras.export import LayerReport, LiteModel, Miss, Verification

_BATCH = 100
# Enough for a stable ratio of noise, and few enough to keep every tensor of.
_LAYER_EXAMPLES = 256


@dataclasses.dataclass(frozen=True)
class VerifiedFile:
    """What was found of a file.

    Attributes:
        dataset: Name of the dataset, whose test split it was measured on.
        verification: The measurements.
        missed: The thresholds that it misses.
        layers: The difference of each operator, where it was asked for.
        environment: What it was measured on.
    """

    dataset: str
    verification: Verification
    missed: tuple[Miss, ...]
    layers: LayerReport | None
    environment: dict[str, str]


def verify_file(
    path: str | os.PathLike[str],
    dataset: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    resize: bool = False,
    student: str | os.PathLike[str] | None = None,
    teacher: str | os.PathLike[str] | None = None,
    output: str | None = None,
    threads: int = 1,
    min_accuracy: float | None = None,
    min_agreement: float | None = None,
    max_difference: float | None = None,
    layers: bool = False,
    console: Console | None = None,
) -> VerifiedFile:
    """Measure a file on a dataset's whole test split, beside its student and teacher.

    Args:
        path: A `.tflite` file.
        dataset: As `kd_keras.data.load` takes it.
        data_dir: As `kd_keras.data.load` takes it.
        resize: Whether to resize the images to what the file takes, and to turn grey ones into RGB
            or RGB ones into grey where it takes those.
        student: The `.keras` file that it was made from.
        teacher: The `.keras` file of the student's teacher.
        output: Name of the output to look at, in a file that has several.
        threads: How many threads the file's kernels may use.
        min_accuracy: Least accuracy, 0..1.
        min_agreement: Least agreement with the student, 0..1.
        max_difference: Largest difference allowed from the student's outputs.
        layers: Whether to compare operator by operator too, on the first 256 test images. Needs the
            student.
        console: Where progress goes; by default standard output.

    Returns:
        `VerifiedFile`; `missed` is empty where the file is good enough.

    Raises:
        ValueError: If a file is damaged, an argument is out of range, or file, student, teacher and
            data do not fit each other.
        ConnectionError: If the data must be downloaded and cannot be.

    Example:

    ```python
    from kd_keras.jobs import verify_file

    verified = verify_file("student_int8.tflite", "digits", min_accuracy=0.95)
    print(verified.verification.accuracy, *verified.missed)
    ```
    """
    console = console or Console()
    files = {
        role: network_file(file, role)
        for role, file in (("student", student), ("teacher", teacher))
        if file is not None
    }
    if layers and "student" not in files:
        raise ValueError(
            "`layers` compares the file with its student, operator by operator. Pass `student`. "
            "Received: layers=True without a student."
        )
    with starting(console, "Starting TensorFlow and opening the data"):
        from kd_keras import data, export
        from kd_keras.export.checking import channel_turn, check_images
        from kd_keras.export.thresholds import check_thresholds

        thresholds = {
            "min_accuracy": min_accuracy,
            "min_agreement": min_agreement,
            "max_difference": max_difference,
        }
        check_thresholds("student" in files, **thresholds)
        model = export.LiteModel(path)
        networks = {role: load_network(file, role) for role, file in files.items()}
        splits = data.load(
            dataset,
            data_dir=data_dir,
            batch_size=_BATCH,
            image_size=_size(model) if resize else None,
        )
        info = splits.info
        test, shape = splits.test, info.input_shape
        if resize and (turn := channel_turn(shape, model.input_shape)):
            test = test.map(lambda x, *rest: (turn(x), *rest))
            shape = tuple(test.element_spec[0].shape[1:])
        check_images(shape, model)
        _check_classes(model, output, info, shape)
        _check_vocabulary(model, info)
    name = Path(path).name
    with progress_bar(
        console, f"{name} on {info.test_examples} images", info.test_examples
    ) as show:
        verification = export.verify(
            path,
            test,
            networks.get("student"),
            networks.get("teacher"),
            output=output,
            threads=threads,
            progress=show,
        )
    compared = None
    if layers:
        count = min(_LAYER_EXAMPLES, info.test_examples)
        images = np.concatenate(
            [x.numpy() for x, _ in test.take(-(-count // _BATCH))], dtype=info.input_dtype
        )[:count]
        with progress_bar(console, f"{name} operator by operator", count) as show:
            compared = export.layer_differences(path, networks["student"], images, progress=show)
    return VerifiedFile(
        dataset=info.title,
        verification=verification,
        missed=export.missed(verification, **thresholds),
        layers=compared,
        environment=environment(),
    )


def _size(model: LiteModel) -> tuple[int, int]:
    shape = model.input_shape
    if len(shape) != 4 or shape[1] is None or shape[2] is None:
        raise ValueError(
            "`resize` needs a file that takes images of one known size. "
            f"Received: a file with input {shape}."
        )
    return shape[1], shape[2]


def _check_classes(model: LiteModel, output: str | None, info: Any, shape: tuple[int, ...]) -> None:
    example = np.zeros((1, *shape), info.input_dtype)
    for name, scores in model.predict_all(example, batch_size=1).items():
        chosen = name == output or (output is None and len(model.output_names) == 1)
        if chosen and scores.shape[-1] != info.num_classes:
            raise ValueError(
                f"The file must fit the data: {info.name!r} has {info.num_classes} classes. "
                f"Received: {str(model.path)!r}, which gives {scores.shape[-1]} scores. Verify it "
                "on the data that its student learned from."
            )


def _check_vocabulary(model: LiteModel, info: Any) -> None:
    from kd_keras.export import metadata

    words = metadata.read(model.content).vocabulary
    known = info.details.get("vocabulary")
    if words and known is not None and list(words) != list(known):
        raise ValueError(
            f"The file must have the vocabulary of the data: {info.title!r} has one of "
            f"{len(known)} words. Received: {str(model.path)!r}, whose {len(words)} words are "
            "others or in another order. Verify it on the data that its student learned from."
        )
