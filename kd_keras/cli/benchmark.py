"""`kd-keras benchmark`: how long files take and what they cost, against each other."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from kd_keras import jobs
from kd_keras.cli.job import Command, NetworkJob, json_file
from kd_keras.jobs.benchmarking import Benchmark
from kd_keras.portable import portable
from kd_keras.report.saying import say
from kd_keras.report.table import Table, show

_XNNPACK = {"both": (True, False), "on": (True,), "off": (False,)}


@dataclasses.dataclass(frozen=True)
class BenchmarkFiles(NetworkJob):
    """Time .tflite files on this machine, one image at a time, and count what they cost.

    Prints median and 90th percentile of the time of one image, the ratio to the first file under
    the same setting (all take turns, and a ratio is formed within a turn: the median over turns and
    its quartiles), the size, parameters, multiply-accumulates (MACs; two floating-point operations
    each) and the peak bytes of the activations (arena). Trust ratios before milliseconds, and none
    of them for another processor.

    Keras models are timed as float32 .tflite conversions of them, not in TensorFlow.

    Attributes:
        files: .tflite files. Ratios refer to the first one.
        keras: Keras models to time beside them, such as student and teacher.
        threads: Numbers of threads, separated by commas.
        xnnpack: With LiteRT's XNNPACK delegate ('on', what an app gets by default), on TFLite's own
            kernels ('off'), or 'both'.
        runs: Timed runs of each file and setting.
        warmup: Runs before them that are not timed.
        json: Write everything to this file too.
    """

    files: tyro.conf.Positional[
        Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE.tflite [FILE.tflite ...]")]
    ]
    keras: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE.keras [FILE.keras ...]")] = ()
    threads: Annotated[str, tyro.conf.arg(metavar="N[,N...]")] = "1"
    xnnpack: Literal["both", "on", "off"] = "both"
    runs: int = 200
    warmup: int = 20
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE.json")] = None

    def __post_init__(self) -> None:
        if not self.files:
            raise ValueError("Name a file to time, such as kd-keras benchmark student_int8.tflite.")
        self._threads()
        for option, value, least in (("runs", self.runs, 1), ("warmup", self.warmup, 0)):
            if value < least:
                raise ValueError(f"--{option} must be at least {least}. Received: {value}")

    def _threads(self) -> tuple[int, ...]:
        words = [word.strip() for word in self.threads.split(",")]
        if not all(word.isdecimal() and int(word) >= 1 for word in words):
            raise ValueError(
                "--threads takes numbers from 1, separated by commas, such as 1,2,4. "
                f"Received: {self.threads!r}"
            )
        return tuple(dict.fromkeys(map(int, words)))

    def run(self, call: str, console: Console) -> None:
        self.import_own_module(console)
        with json_file(self.json, "benchmark", console) as write:
            measured = jobs.benchmark_files(
                self.files,
                keras_models=self.keras,
                threads=self._threads(),
                xnnpack=_XNNPACK[self.xnnpack],
                runs=self.runs,
                warmup=self.warmup,
                console=console,
            )
            _print(measured, console)
            write(as_json(measured, call))


def _print(measured: Benchmark, console: Console) -> None:
    place = measured.environment
    costs, times = [], []
    for contender in measured.contenders:
        shown = _name(contender.name, contender.converted)
        costs.append(
            (
                shown,
                f"{contender.bytes:,}",
                f"{contender.parameters:,}",
                f"{contender.operations.macs:,}" + ("+" if contender.operations.uncounted else ""),
                f"{contender.arena_bytes:,}",
            )
        )
        for standing in contender.standings:
            ratio = standing.ratio
            times.append(
                (
                    shown,
                    str(standing.entry.threads),
                    "on" if standing.entry.xnnpack else "off",
                    f"{standing.latency.median_ms:.4f}",
                    f"{standing.latency.p90_ms:.4f}",
                    f"{ratio.median:.3f}",
                    f"{ratio.lower:.3f}-{ratio.upper:.3f}",
                )
            )
            shown = ""
    show(
        Table(
            ("file", "bytes", "parameters", "MACs", "arena bytes"),
            costs,
            title="What they cost, for one image",
            compact=True,
        ),
        console,
    )
    show(
        Table(
            ("file", "threads", "XNNPACK", "median", "p90", "ratio", "quartiles"),
            times,
            title=f"{place['cpu']}, {place['cpu cores']} cores, LiteRT {place['ai-edge-litert']}",
            caption=f"Milliseconds for one image, {measured.runs} runs after {measured.warmup}. "
            "Ratio to the first file with the same threads and XNNPACK: median and quartiles over "
            "turns.",
            compact=True,
        ),
        console,
    )
    for contender in measured.contenders:
        if contender.operations.uncounted:
            left_out = ", ".join(contender.operations.uncounted)
            say(console, f"The MACs of {contender.name} leave out: {left_out}")


def _name(name: str, converted: bool) -> str:
    return f"{Path(name).name} as float32 .tflite" if converted else Path(name).name


def as_json(measured: Benchmark, call: str) -> str:
    """Return everything as JSON text."""
    contenders = [
        {
            "file": portable(contender.name),
            "timed_as": "float32 .tflite conversion" if contender.converted else "file",
            "bytes": contender.bytes,
            "parameters": contender.parameters,
            "macs": contender.operations.macs,
            "flops": contender.operations.flops,
            "uncounted_operators": list(contender.operations.uncounted),
            "arena_bytes": contender.arena_bytes,
            "times": [
                {
                    "threads": standing.entry.threads,
                    "xnnpack": standing.entry.xnnpack,
                    "median_ms": standing.latency.median_ms,
                    "p90_ms": standing.latency.p90_ms,
                    "ratio_to_first": dataclasses.asdict(standing.ratio),
                }
                for standing in contender.standings
            ],
        }
        for contender in measured.contenders
    ]
    report = {
        "command": call,
        "runs": measured.runs,
        "warmup": measured.warmup,
        "environment": measured.environment,
        "contenders": contenders,
    }
    return json.dumps(report, indent=2) + "\n"


COMMAND = Command(
    parse=BenchmarkFiles,
    examples={
        "kd-keras benchmark student_int8.tflite": "latency, memory and operations of files",
    },
)
