"""`kd-keras verify`: a file on the whole test split, beside its student and teacher."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.console import Console

from kd_keras import jobs
from kd_keras.cli.job import Command, NetworkJob, NotGoodEnough, json_file
from kd_keras.jobs.verifying import VerifiedFile
from kd_keras.portable import portable
from kd_keras.report.saying import say
from kd_keras.report.table import ABSENT, Table, show

if TYPE_CHECKING:
    from kd_keras.export.layers import LayerReport


@dataclasses.dataclass(frozen=True)
class Verify(NetworkJob):
    """Measure a .tflite file on the whole test split, in LiteRT.

    Prints its accuracy and, with --student and --teacher, theirs, the agreement of the file with
    each (share of images with the same first class), and the largest and mean difference of the
    outputs. With --layers it says where the file goes wrong: for each operator the
    signal-to-quantisation-noise ratio in decibels (at 20 dB the noise is a tenth of the signal), of
    all up to there, of the operator alone, and as the mean over its channels.

    Ends with 0 if every stated threshold is met, with 3 if one is missed, which it names, with 1
    after an error (a damaged file, data of another shape), and with 2 if it was called wrongly.

    Attributes:
        file: The .tflite file.
        data: 'digits', a name of TensorFlow Datasets such as 'cifar10', or a folder of images.
        data_dir: Where TensorFlow Datasets keeps its data; its own default otherwise.
        student: The Keras model that the file was made from.
        teacher: The Keras model that taught the student.
        min_accuracy: Least accuracy of the file, from 0 to 1.
        min_agreement: Least agreement with the student, from 0 to 1.
        max_difference: Largest difference allowed between an output of file and student.
        layers: Compare operator by operator too, on the first 256 test images. Needs --student.
        resize: Resize the images to what the file takes, and turn grey into RGB or RGB into grey.
        output_name: The output to look at, in a file that has several.
        threads: Threads that LiteRT may use.
        json: Write everything to this file too.
    """

    file: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="FILE.tflite")]]
    data: Annotated[str, tyro.conf.arg(metavar="DATASET")]
    data_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    student: Annotated[Path | None, tyro.conf.arg(metavar="FILE.keras")] = None
    teacher: Annotated[Path | None, tyro.conf.arg(metavar="FILE.keras")] = None
    min_accuracy: Annotated[float | None, tyro.conf.arg(metavar="SHARE")] = None
    min_agreement: Annotated[float | None, tyro.conf.arg(metavar="SHARE")] = None
    max_difference: Annotated[float | None, tyro.conf.arg(metavar="NUMBER")] = None
    layers: tyro.conf.FlagCreatePairsOff[bool] = False
    resize: tyro.conf.FlagCreatePairsOff[bool] = False
    output_name: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    threads: int = 1
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE.json")] = None

    def __post_init__(self) -> None:
        for option in ("min_accuracy", "min_agreement"):
            share = getattr(self, option)
            if share is not None and not 0 <= share <= 1:
                raise ValueError(
                    f"--{option.replace('_', '-')} must be a share from 0 to 1, such as 0.95. "
                    f"Received: {share:g}"
                )
        if self.student is None:
            for option in ("min_agreement", "max_difference", "layers"):
                if getattr(self, option) not in (None, False):
                    raise ValueError(
                        f"--{option.replace('_', '-')} compares the file with its student: add "
                        "--student FILE.keras."
                    )

    def run(self, call: str, console: Console) -> None:
        self.import_own_module(console)
        with json_file(self.json, "verify", console) as write:
            verified = jobs.verify_file(
                self.file,
                self.data,
                data_dir=self.data_dir,
                resize=self.resize,
                student=self.student,
                teacher=self.teacher,
                output=self.output_name,
                threads=self.threads,
                min_accuracy=self.min_accuracy,
                min_agreement=self.min_agreement,
                max_difference=self.max_difference,
                layers=self.layers,
                console=console,
            )
            _print(verified, console)
            write(as_json(verified, call))
        if verified.missed:
            raise NotGoodEnough(f"{self.file}: {'; '.join(map(str, verified.missed))}")


def _print(verified: VerifiedFile, console: Console) -> None:
    found = verified.verification
    rows = [("the file", f"{found.accuracy:.2%}", "", "", "")]
    for role, other in (("student", found.student), ("teacher", found.teacher)):
        if other is not None:
            rows.append(
                (
                    role,
                    f"{other.accuracy:.2%}",
                    f"{other.agreement:.2%}",
                    f"{other.largest_difference:.4g}",
                    f"{other.mean_difference:.4g}",
                )
            )
    table = Table(
        ("model", "accuracy", "agreement with the file", "largest difference", "mean difference"),
        rows,
        title=f"{found.path.name} on the {found.examples} test images of {verified.dataset}",
        caption=f"{found.bytes:,} bytes, SHA-256 {found.sha256[:16]}...",
        compact=True,
    )
    show(table, console)
    if verified.layers is not None:
        _print_layers(verified.layers, console)


def _print_layers(report: LayerReport, console: Console) -> None:
    rows = [
        (
            str(index),
            f"{layer.operator}{' (worst)' if index == report.worst else ''}",
            _short(layer.tensor),
            _decibels(layer.sqnr),
            _decibels(layer.own_sqnr),
            _decibels(layer.channel_sqnr),
            f"{layer.mean_error:.2%}",
            ABSENT if layer.step is None else f"{layer.step:.3g}",
            ABSENT if layer.clipped is None else f"{layer.clipped:.2%}",
        )
        for index, layer in enumerate(report.layers)
    ]
    table = Table(
        ("#", "operator", "tensor", "SQNR", "own", "channels", "error", "step", "clipped"),
        rows,
        title="Operator by operator, in the order of the graph",
        caption=f"SQNR in dB on {report.examples} images: up to here, of the operator alone, and "
        "alone as the mean over channels. Error: mean absolute error up to here, of the range. "
        "Clipped: values that the output cannot hold.",
        texts=3,
        compact=True,
        marked=() if report.worst is None else (report.worst,),
    )
    show(table, console)
    if report.worst is not None:
        layer = report.layers[report.worst]
        say(
            console,
            f"Worst: {layer.operator} {_short(layer.tensor)}",
            f", {layer.worse_sqnr:.1f} dB by itself",
        )
    if report.uncompared:
        say(console, f"No float twin was found for: {', '.join(report.uncompared)}")


def _short(tensor: str) -> str:
    """Return the last of the names that the converter joined, without the model's."""
    last = tensor.rpartition(";")[2]
    return last.partition("/")[2] or last


def _decibels(value: float) -> str:
    return "exact" if value == math.inf else f"{value:.1f}"


def as_json(verified: VerifiedFile, call: str) -> str:
    """Return everything as JSON text. An infinite SQNR, which means no noise at all, is null."""
    fields = _plain(dataclasses.asdict(verified))
    if verified.layers is not None:
        fields["layers"]["worst"] = verified.layers.worst
    return json.dumps({"command": call, **fields}, indent=2) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return portable(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


COMMAND = Command(
    parse=Verify,
    examples={
        "kd-keras verify student_int8.tflite --data digits": "accuracy of a file, in LiteRT",
    },
)
