"""A `.tflite` image classifier: pixels in, probabilities of named classes out."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kd_keras.arguments import is_number
from kd_keras.export.metadata import OutputKind, kind_in_file, read
from kd_keras.export.metadata_file import MOST_TEXT
from kd_keras.export.runtime import LiteModel
from kd_keras.regular_file import read_text


class Classifier:
    """A `.tflite` file that tells images apart, with what its metadata say of it.

    Labels and normalisation come from the metadata or the arguments. Without either the classes are
    called "class 0", "class 1", ..., and pixels go in as they are, 0..255.

    Args:
        path: The file: one image in, its classes on one output `(batch, classes)`.
        labels: A text file with one label a line, instead of the labels in the file.
        threads: How many threads the kernels may use, >= 1.
        mean: Subtracted from the pixels, one value or one for each channel, instead of the file's.
        std: Divides them then, likewise.
        classes_output: The name of the output with the classes, in a file that has several and
            whose metadata do not say.

    Attributes:
        model: The file in the interpreter.
        image_shape: (height, width, channels) of its input; channels are 1 (grey) or 3 (RGB).
        labels: A name for each class.
        labelled: Whether the names were given, by the file or by `labels`.
        output: The name of the output with the classes.
        outputs: "logits" or "probabilities", as the metadata say; without them, probabilities
            where the file ends with a softmax.
        mean: Subtracted from the pixels, array of 1 or `channels` values.
        std: Divides them then.
        normalised: Whether the file or the arguments say how pixels go in.
        name: The model's name in the metadata, or the file's.

    Raises:
        ValueError: If the file is damaged, its input is no image of known size, no output or
            several could hold the classes, or `labels` is missing or does not fit.

    Example:

    >>> import keras, kd_keras, numpy as np
    >>> student = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),
    ...                             keras.layers.Dense(2)])
    >>> result = kd_keras.export.to_tflite(student, "student.tflite")
    >>> classifier = kd_keras.export.Classifier("student.tflite")
    >>> classifier.labels
    ('class 0', 'class 1')
    >>> classifier.probabilities(np.zeros((3, 8, 8, 1), "uint8")).shape
    (3, 2)
    """

    # Of the output that holds the classes, and what an error calls its shape.
    _rank = 2
    _form = "(batch, classes)"

    def __init__(
        self,
        path: str | os.PathLike[str],
        labels: str | os.PathLike[str] | None = None,
        *,
        threads: int = 1,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        classes_output: str | None = None,
    ):
        self.model = LiteModel(path, threads=threads)
        metadata = read(path)
        self.image_shape = self._image_shape()
        self.output, classes = self._class_output(classes_output, metadata.labelled_output)
        self.outputs: OutputKind = output_kind(self.model, self.output)
        # Those in the file may belong to another output.
        own = metadata.labels if metadata.labelled_output in (None, self.output) else ()
        given = own if labels is None else _read_labels(Path(labels))
        if given and len(given) != classes:
            source = "its metadata" if labels is None else repr(str(labels))
            raise ValueError(
                f"There must be a label for each of the {classes} classes of {str(path)!r}. "
                f"Received: {len(given)} labels from {source}."
            )
        self.labelled = bool(given)
        self.labels = given or tuple(f"class {index}" for index in range(classes))
        channels = self.image_shape[-1]
        self.mean = _per_channel("mean", mean, metadata.input_mean or (0.0,), channels)
        self.std = _per_channel("std", std, metadata.input_std or (1.0,), channels)
        if (self.std == 0).any():
            raise ValueError(f"`std` divides the pixels and must not be 0. Received: std={std!r}")
        self.normalised = bool(metadata.input_mean) or mean is not None or std is not None
        self.name = metadata.name or Path(path).stem

    def probabilities(self, images: Any, batch_size: int = 32) -> np.ndarray:
        """Return the probabilities of the classes.

        Args:
            images: Array `(images, height, width, channels)` of pixels 0..255.
            batch_size: How many to run at a time.

        Returns:
            Float64 array `(images, classes)`: the file's output, or softmax(output) where it gives
            logits.

        Raises:
            ValueError: If the images have another shape than the file takes.
        """
        pixels = np.asarray(images).astype("float32")
        outputs = self.model.predict_all((pixels - self.mean) / self.std, batch_size)
        values = outputs[self.output].astype("float64")
        return softmax(values) if self.outputs == "logits" else values

    def _image_shape(self) -> tuple[int, int, int]:
        shape = self.model.input_shape
        match shape:
            case (_, int(height), int(width), int(channels)) if channels in (1, 3):
                return height, width, channels
        raise ValueError(
            f"{str(self.model.path)!r} must take images (batch, height, width, channels) of known "
            f"size with 1 channel (grey) or 3 (RGB). Received: a file with input {shape}"
        )

    def _class_output(self, asked: str | None, labelled: str | None) -> tuple[str, int]:
        zeros = np.zeros((1, *self.image_shape), "float32")
        shapes = {name: value.shape for name, value in self.model.predict_all(zeros).items()}
        fitting = [
            name for name, shape in shapes.items() if len(shape) == self._rank and shape[-1] > 1
        ]
        if asked is not None and asked not in fitting:
            raise ValueError(
                f"`classes_output` must name an output {self._form} of {str(self.model.path)!r}: "
                f"{', '.join(fitting) or 'it has none'}. Received: classes_output={asked!r} of a "
                f"file with outputs {shapes}{self._remedy(shapes)}"
            )
        name = asked or (labelled if labelled in fitting else None)
        if name is None and len(fitting) == 1:
            name = fitting[0]
        if name is None:
            several = (
                ". Say which with classes_output= (`kd-keras predict --classes-output`), such as "
                f"{fitting[0]!r}, or pack the labels of one when exporting"
                if fitting
                else self._remedy(shapes)
            )
            raise ValueError(
                f"{str(self.model.path)!r} must have one output {self._form} of two classes "
                "or more, or metadata that give the labels of one. "
                f"Received: a file with outputs {shapes}{several}"
            )
        return name, shapes[name][-1]

    def _remedy(self, shapes: Mapping[str, tuple[int, ...]]) -> str:
        of_pixels = any(len(shape) == 4 and shape[-1] > 1 for shape in shapes.values())
        return (
            ". For the class of every pixel: kd_keras.export.Segmenter, or `kd-keras predict` with "
            "--output mask.png"
            if of_pixels
            else ""
        )


def output_kind(model: LiteModel, output: str) -> OutputKind:
    """Return whether an output of a file holds logits or probabilities.

    Its metadata say so; without them, probabilities come from a softmax or a sigmoid at its end.
    """
    said = read(model.content)
    if said.outputs is not None and said.labelled_output in (None, output):
        return said.outputs
    return kind_in_file(model.content, output)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities of logits, over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _per_channel(argument: str, given: Any, otherwise: Any, channels: int) -> np.ndarray:
    if given is None:
        return np.asarray(otherwise, "float32")
    values = tuple(given) if isinstance(given, Sequence) else (given,)
    if not all(map(is_number, values)) or len(values) not in (1, channels):
        raise ValueError(
            f"`{argument}` must be one number, or one for each of the {channels} channels. "
            f"Received: {argument}={given!r}"
        )
    return np.asarray(values, "float32")


def _read_labels(path: Path) -> tuple[str, ...]:
    try:
        lines = re.split("[\r\n]", read_text(path, MOST_TEXT).removeprefix("\ufeff"))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            "`labels` must be a text file in UTF-8 with one label a line, in the order of the "
            f"classes. Received: {str(path)!r} ({error})"
        ) from error
    names = tuple(line.strip() for line in lines if line.strip())
    if not names:
        raise ValueError(f"`labels` must hold one label a line. Received: {str(path)!r}, empty")
    return names
