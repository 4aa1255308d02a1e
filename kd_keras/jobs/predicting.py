"""Classify pictures with a `.tflite` file, as a phone would."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kd_keras.arguments import check_integer
from kd_keras.jobs.pictures import read_picture
from kd_keras.quiet_start import quiet_start


@dataclass(frozen=True)
class ClassScore:
    """One class of one picture.

    Attributes:
        index: Which class.
        label: Its name.
        probability: 0..1.
    """

    index: int
    label: str
    probability: float


@dataclass(frozen=True)
class Classified:
    """What a file says of pictures.

    Attributes:
        model: Path of the file.
        outputs: "logits" or "probabilities": what the file itself gives.
        labelled: Whether the names of the classes were given.
        normalised: Whether the file or the caller said how pixels go in; else they went in raw.
        pictures: For each picture its path and its likeliest classes, the likeliest first.
    """

    model: str
    outputs: str
    labelled: bool
    normalised: bool
    pictures: tuple[tuple[str, tuple[ClassScore, ...]], ...]


def classify(
    model: str | os.PathLike[str],
    pictures: Sequence[str | os.PathLike[str]],
    *,
    top: int = 5,
    labels: str | os.PathLike[str] | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
) -> Classified:
    """Return the likeliest classes of pictures: PNG, JPEG, BMP, GIF or WebP of any size.

    Args:
        model: A `.tflite` image classifier.
        pictures: Paths of the pictures.
        top: How many classes to return for each, >= 1.
        labels: A text file with one label a line, instead of the labels in the file.
        mean: Subtracted from the pixels 0..255, one value or one for each channel, instead of the
            normalisation in the file.
        std: Divides them then, likewise.

    Raises:
        ValueError: If the file is damaged or no image classifier, a picture cannot be read, the
            labels do not fit, or an argument is out of range.

    Example:

    ```python
    from kd_keras.jobs import classify

    for path, classes in classify("student_int8.tflite", ["cat.jpg"]).pictures:
        print(path, classes[0].label, classes[0].probability)
    ```
    """
    top = check_integer("top", top, 1)
    if not pictures:
        raise ValueError("`pictures` must name at least one picture. Received: none")
    with quiet_start():
        from kd_keras.export import Classifier

        classifier = Classifier(model, labels, mean=mean, std=std)
    found = []
    for path in pictures:
        # One by one: thousands of photos need not lie in memory together.
        pixels = read_picture(path, classifier.image_shape)
        probabilities = classifier.probabilities(pixels[None])[0]
        best = np.argsort(-probabilities, kind="stable")[:top]
        scores = tuple(
            ClassScore(int(k), classifier.labels[k], float(probabilities[k])) for k in best
        )
        found.append((str(path), scores))
    return Classified(
        str(model), classifier.outputs, classifier.labelled, classifier.normalised, tuple(found)
    )
