"""`kd-keras export`: a trained student as `.tflite` files for phones."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal, get_args

import tyro
from rich.console import Console

from kd_keras import jobs
from kd_keras.cli.job import Command, NetworkJob
from kd_keras.jobs.exporting import PLOT, RESULTS, Exports
from kd_keras.report.saying import say
from kd_keras.report.table import ABSENT, Table, show

# As in `kd_keras.export.presets`, which starts TensorFlow.
Preset = Literal["none", "float16", "dynamic", "weight_only", "int8", "int16x8"]


@dataclasses.dataclass(frozen=True)
class Export(NetworkJob):
    """Convert a trained student to .tflite files, verify them on the test split, and compare them.

    Presets: none (float32), float16 (for the GPU delegate), dynamic (int8 weights), weight_only
    (int8 weights, float32 arithmetic), int8 (CPU, DSP, NPU) and int16x8. Ranges are calibrated on
    training images, evenly of all classes. Only builtin operators are used.

    Beside each file stands its model card (.md); exports.json holds all figures, and with several
    presets pareto.svg shows accuracy against size and latency.

    Attributes:
        student: The trained student.
        data: What it was trained on: 'digits', a name of TensorFlow Datasets, a folder of images.
        preset: Presets, one after the other; by default none and int8.
        all: Every preset.
        data_dir: Where TensorFlow Datasets keeps its data; its own default otherwise.
        output: Folder for the files; by default exports beside the student.
        input_dtype: What the files take: uint8 for the bytes of a camera frame. The int16x8 file
            stays with float32.
        probabilities: Let the files end in a softmax.
        classes_output: The name of the output with the classes, in a student that has several.
        batch_size: Images that a file takes at a time; None leaves it open, which newer runtimes do
            not always stand.
        min_agreement: Least share of test images, 0 to 1, on which a quantised file must answer as
            the student; None keeps whatever comes out.
        examples: Training images that set the ranges, at least 100.
        runs: Timed runs of each file.
    """

    student: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="STUDENT.keras")]]
    data: Annotated[str, tyro.conf.arg(metavar="DATASET")]
    preset: tuple[Preset, ...] = ("none", "int8")
    all: tyro.conf.FlagCreatePairsOff[bool] = False
    data_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    output: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    input_dtype: Literal["float32", "uint8"] | None = None
    probabilities: tyro.conf.FlagCreatePairsOff[bool] = False
    classes_output: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    batch_size: int | None = 1
    min_agreement: float | None = 0.98
    examples: int = 500
    runs: int = 200

    def __post_init__(self) -> None:
        if not self.all and not self.preset:
            raise ValueError("--preset must name a preset, such as --preset int8, or take --all.")
        for option, value, least in (("examples", self.examples, 100), ("runs", self.runs, 1)):
            if value < least:
                raise ValueError(f"--{option} must be at least {least}. Received: {value}")
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(
                f"--batch-size must be at least 1, or None. Received: {self.batch_size}"
            )
        if self.min_agreement is not None and not 0 <= self.min_agreement <= 1:
            raise ValueError(
                f"--min-agreement must be from 0 to 1, or None. Received: {self.min_agreement}"
            )

    def run(self, call: str, console: Console) -> None:
        self.import_own_module(console)
        exports = jobs.export_presets(
            self.student,
            self.data,
            self.output or self.student.parent / "exports",
            get_args(Preset) if self.all else tuple(dict.fromkeys(self.preset)),
            data_dir=self.data_dir,
            input_dtype=self.input_dtype,
            probabilities=self.probabilities,
            classes_output=self.classes_output,
            batch_size=self.batch_size,
            min_agreement=self.min_agreement,
            examples=self.examples,
            runs=self.runs,
            command=call,
            console=console,
        )
        _print(exports, console)
        written = [RESULTS, *([PLOT] if len(exports.files) > 1 else [])]
        say(
            console,
            f"Written to {exports.folder}: the files, a card for each, {' and '.join(written)}",
        )


def _print(exports: Exports, console: Console) -> None:
    results, phones = [], []
    for file in exports.files:
        preset = file.result.quantization.replace("none", "none (float32)")
        results.append(
            (
                preset,
                f"{file.result.bytes:,}",
                f"{100 * file.accuracy:.2f} %",
                f"{100 * (exports.keras_accuracy - file.accuracy):+.2f}",
                f"{100 * file.agreement:.2f} %",
                f"{file.latency.median_ms:.3f} ms",
                ABSENT if file.ratio is None else f"{file.ratio.median:.3f}",
            )
        )
        needed = file.result.minimum_runtime_version
        phones.append(
            (
                preset,
                file.result.runs_on,
                f"TFLite {needed}" if needed else ABSENT,
                f"{file.arena_bytes:,}",
            )
        )
    show(
        Table(
            ("preset", "bytes", "accuracy", "drop", "agreement", "latency", "ratio"),
            results,
            title=f"{exports.student.name} on the {exports.test_examples} test images of "
            f"{exports.dataset}: {100 * exports.keras_accuracy:.2f} % in Keras",
            caption="Drop: points of accuracy below the Keras student. Latency of one image, one "
            "thread, on this machine; its ratio to the float32 file's was taken in turns.",
        ),
        console,
    )
    columns = ("preset", "processors", "needs at least", "arena bytes")
    show(Table(columns, phones, title="What they are made for", texts=3), console)


COMMAND = Command(
    parse=Export,
    examples={
        "kd-keras export student.keras --data digits --all": "every preset, with a plot of them"
    },
)
