"""Classify pictures, texts or recordings with a `.tflite` file, as a phone would."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kd_keras.arguments import check_integer
from kd_keras.jobs.pictures import read_picture
from kd_keras.quiet_start import quiet_start
from kd_keras.recordings import as_heard, read_recording


@dataclass(frozen=True)
class ClassScore:
    """One class of one picture, text or recording.

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
    """What a file says of pictures, texts or recordings.

    Attributes:
        model: Path of the file.
        outputs: "logits" or "probabilities": what the file itself gives.
        labelled: Whether the names of the classes were given.
        normalised: Whether the file or the caller said how pixels go in; else they went in raw.
        pictures: For each picture or recording its path, for each text itself, and its
            likeliest classes, the likeliest first.
        of_texts: Whether the file takes texts.
        of_recordings: Whether the file takes recordings.
        unknown: The texts of which no word is in the file's vocabulary.
    """

    model: str
    outputs: str
    labelled: bool
    normalised: bool
    pictures: tuple[tuple[str, tuple[ClassScore, ...]], ...]
    of_texts: bool = False
    of_recordings: bool = False
    unknown: tuple[str, ...] = ()


def classify(
    model: str | os.PathLike[str],
    pictures: Sequence[str | os.PathLike[str]],
    *,
    top: int = 5,
    labels: str | os.PathLike[str] | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    classes_output: str | None = None,
) -> Classified:
    """Return the likeliest classes of pictures, texts or recordings, whatever the file takes.

    Pictures are PNG, JPEG, BMP, GIF or WebP of any size; recordings .wav files of 16-bit PCM, one
    channel and the file's sample rate, padded or cut at the end to what the file takes.

    Args:
        model: A `.tflite` classifier of images, of texts with its vocabulary in it, or of
            recordings with their sample rate in it.
        pictures: Paths of the pictures or recordings, or the texts.
        top: How many classes to return for each, >= 1.
        labels: A text file with one label a line, instead of the labels in the file.
        mean: Subtracted from the pixels 0..255, one value or one for each channel, instead of the
            normalisation in the file.
        std: Divides them then, likewise.
        classes_output: The name of the output with the classes, in a file of several.

    Raises:
        ValueError: If the file is damaged or no classifier, a picture or recording cannot be read,
            a recording has another sample rate or several channels, a text is empty, the labels
            do not fit, or an argument is out of range.

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
        from kd_keras.export import Classifier, metadata

        said = metadata.read(model)
        if said.vocabulary or said.sample_rate:
            if (labels, mean, std, classes_output) != (None,) * 4:
                raise ValueError(
                    "`labels`, `mean`, `std` and `classes_output` are for files that take images. "
                    f"Received: them with {str(model)!r}, which takes "
                    f"{'texts' if said.vocabulary else 'recordings'} and holds its labels. Leave "
                    "them out."
                )
            if said.sample_rate:
                return _classified_recordings(model, pictures, top)
            return _classified_texts(model, [str(text) for text in pictures], top)
        classifier = Classifier(model, labels, mean=mean, std=std, classes_output=classes_output)
    found = []
    for path in pictures:
        # One by one: thousands of photos need not lie in memory together.
        pixels = read_picture(path, classifier.image_shape)
        probabilities = classifier.probabilities(pixels[None])[0]
        found.append((str(path), _best(probabilities, classifier.labels, top)))
    return Classified(
        str(model), classifier.outputs, classifier.labelled, classifier.normalised, tuple(found)
    )


def _classified_texts(model: str | os.PathLike[str], texts: Sequence[str], top: int) -> Classified:
    from kd_keras.export import TextClassifier

    classifier = TextClassifier(model)
    scores = [_best(row, classifier.labels, top) for row in classifier.probabilities(texts)]
    return Classified(
        str(model),
        classifier.outputs,
        labelled=True,
        normalised=True,
        pictures=tuple(zip(texts, scores, strict=True)),
        of_texts=True,
        unknown=tuple(text for text in texts if not classifier.knows(text)),
    )


def _classified_recordings(
    model: str | os.PathLike[str], paths: Sequence[str | os.PathLike[str]], top: int
) -> Classified:
    from kd_keras.export import SoundClassifier

    classifier = SoundClassifier(model)
    found = []
    for path in paths:
        recording = read_recording(path)
        audio = as_heard(recording, classifier.samples, classifier.sample_rate, path)
        scores = _best(classifier.probabilities(audio[None])[0], classifier.labels, top)
        found.append((str(path), scores))
    return Classified(
        str(model),
        classifier.outputs,
        labelled=True,
        normalised=True,
        pictures=tuple(found),
        of_recordings=True,
    )


def _best(probabilities: np.ndarray, labels: Sequence[str], top: int) -> tuple[ClassScore, ...]:
    best = np.argsort(-probabilities, kind="stable")[:top]
    return tuple(ClassScore(int(k), labels[k], float(probabilities[k])) for k in best)
