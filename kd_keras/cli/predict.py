"""`kd-keras predict`: what a `.tflite` file says of pictures, texts or recordings."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from kd_keras import jobs
from kd_keras.cli.job import Command, Job
from kd_keras.escaping import terminal
from kd_keras.jobs.predicting import Classified
from kd_keras.report.saying import say
from kd_keras.report.table import Table, show


@dataclasses.dataclass(frozen=True)
class Predict(Job):
    """Print the likeliest classes of pictures, texts or recordings, as LiteRT finds them.

    Pictures of any size are turned upright, laid on black where they are transparent, resized to
    the file's input and made grey or RGB as it asks; the pixels go in raw, 0..255, unless the
    file's metadata give another normalisation. A file of texts takes sentences in quotes instead,
    and makes ids of their words by the vocabulary in it. A file of recordings takes .wav files of
    its sample rate, 16 bits and one channel; it hears as much of their beginning as it takes.

    A file that gives a class for every pixel takes one picture, which is not resized but covered
    with tiles, and --output, where the mask goes.

    Attributes:
        model: A classifier of images, texts or recordings, such as
            saved_models/digits/student_int8.tflite.
        pictures: PNG, JPEG, BMP, GIF or WebP pictures, the first frame of several; or texts;
            or .wav recordings.
        top: How many classes to print for each.
        labels: A text file with one label a line, instead of the labels in the model file.
        mean: Subtracted from the pixels 0..255, one value or one for each channel, instead of what
            the model file says.
        std: Divides them then: 255 for a model that takes 0 to 1.
        classes_output: The output with the classes, in a file that has several and does not say.
        output: Where the mask goes, a PNG whose values are class ids, for a file that gives a class
            for every pixel.
        json: Print JSON instead of the table.
    """

    model: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="FILE.tflite")]]
    pictures: tyro.conf.Positional[
        Annotated[tuple[str, ...], tyro.conf.arg(metavar="IMAGE|TEXT|WAV...")]
    ]
    top: int = 3
    labels: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    classes_output: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    output: Annotated[Path | None, tyro.conf.arg(metavar="MASK.png")] = None
    json: tyro.conf.FlagCreatePairsOff[bool] = False

    def __post_init__(self) -> None:
        if not self.pictures:
            raise ValueError("name a picture after the model: kd-keras predict FILE.tflite IMAGE")
        if self.top < 1:
            raise ValueError(f"--top must be at least 1. Received: {self.top}")
        if self.output is not None and len(self.pictures) > 1:
            raise ValueError(
                f"--output is the mask of one picture. Received: {len(self.pictures)} pictures. "
                "Run the command for each"
            )

    def run(self, call: str, console: Console) -> None:
        if self.output is not None:
            self._segment(self.output, call, console)
            return
        found = jobs.classify(
            self.model,
            self.pictures,
            top=self.top,
            labels=self.labels,
            mean=self.mean,
            std=self.std,
            classes_output=self.classes_output,
        )
        if self.json:
            console.print(terminal(_as_json(found, call), keep="\n"), soft_wrap=True)
        else:
            _print(found, console)

    def _segment(self, output: Path, call: str, console: Console) -> None:
        found = jobs.segment(
            self.model,
            self.pictures[0],
            output,
            labels=self.labels,
            mean=self.mean,
            std=self.std,
            classes_output=self.classes_output,
        )
        if self.json:
            text = json.dumps({"command": call, **dataclasses.asdict(found)}, indent=2)
            console.print(terminal(text, keep="\n"), soft_wrap=True)
            return
        rows = [(name, f"{100 * share:.2f} %") for name, share in found.shares]
        show(Table(("class", "share of the pixels"), rows, title=found.picture), console)
        say(console, f"{found.mask}: the class of each of {found.size[0]}x{found.size[1]} pixels")


def _print(found: Classified, console: Console) -> None:
    rows = [
        (path if place == 0 else "", score.label, f"{100 * score.probability:.2f} %")
        for path, scores in found.pictures
        for place, score in enumerate(scores)
    ]
    what = _what(found)
    show(Table((what, "class", "probability"), rows, title=found.model, texts=2), console)
    for text in found.unknown:
        console.print(
            f"No word of {text!r} is in the file's vocabulary: these are the probabilities of a "
            "text of unknown words.",
            highlight=False,
            markup=False,
        )
    if not found.labelled:
        console.print(
            "The file holds no labels, so the classes are numbered. Give names with --labels FILE, "
            "one a line.",
            highlight=False,
        )
    if not found.normalised:
        console.print(
            "The file does not say how pixels go in: raw, 0 to 255, was assumed. If it takes "
            "another range, say so with --mean and --std, such as --mean 0 --std 255 for 0 to 1.",
            highlight=False,
        )


def _what(found: Classified) -> str:
    return "text" if found.of_texts else "recording" if found.of_recordings else "picture"


def _as_json(found: Classified, call: str) -> str:
    entry, entries = "text" if found.of_texts else "path", f"{_what(found)}s"
    classified = [
        {entry: each, "classes": [dataclasses.asdict(score) for score in scores]}
        for each, scores in found.pictures
    ]
    fields = {
        "model": found.model,
        "outputs": found.outputs,
        "labelled": found.labelled,
        "normalised": found.normalised,
    }
    return json.dumps({"command": call, **fields, entries: classified}, indent=2)


COMMAND = Command(
    parse=Predict,
    examples={
        "kd-keras predict student.tflite photo.jpg": "classify pictures with a .tflite file",
        'kd-keras predict student.tflite "A fine film."': "or texts, where the file takes texts",
        "kd-keras predict student.tflite hello.wav": "or recordings",
        "kd-keras predict student.tflite cells.png --output mask.png": "classify every pixel",
    },
)
