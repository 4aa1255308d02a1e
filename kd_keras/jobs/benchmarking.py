"""Time `.tflite` files and Keras models against each other, and count what they cost."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from kd_keras.network_files import load_network, network_file
from kd_keras.quiet_start import starting
from kd_keras.report.environment import environment
from kd_keras.report.progress import progress_bar

if TYPE_CHECKING:
    from kd_keras.export import Operations, Standing


@dataclasses.dataclass(frozen=True)
class Contender:
    """A file, what it costs, and how fast it was.

    Attributes:
        name: Name of the file as it was given.
        converted: Whether it is a Keras model, which ran as its float32 `.tflite` conversion.
        bytes: Size of the `.tflite` file, or of the conversion.
        parameters: Weights and biases in the file; of a Keras model, `count_params()`.
        operations: Multiply-accumulates for one image.
        arena_bytes: Peak memory of the activations for one image, on TFLite's own kernels.
        standings: Its times, one for each number of threads and XNNPACK on and off.
    """

    name: str
    converted: bool
    bytes: int
    parameters: int
    operations: Operations
    arena_bytes: int
    standings: tuple[Standing, ...]


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """A benchmark of several files on one machine.

    Attributes:
        runs: Timed runs of each contender and setting.
        warmup: Runs before.
        contenders: The files in their order; ratios refer to the first one.
        environment: What it was measured on.
    """

    runs: int
    warmup: int
    contenders: tuple[Contender, ...]
    environment: dict[str, str]


def benchmark_files(
    paths: Sequence[str | os.PathLike[str]],
    *,
    keras_models: Sequence[str | os.PathLike[str]] = (),
    threads: Sequence[int] = (1,),
    xnnpack: Sequence[bool] = (True, False),
    runs: int = 200,
    warmup: int = 20,
    console: Console | None = None,
) -> Benchmark:
    """Time `.tflite` files against each other and against Keras models, one image at a time.

    A Keras model is converted to a float32 `.tflite` file in a temporary folder and timed as that:
    the runtime of the phone, and not TensorFlow's, whose calls cost more than a small network. All
    take turns, see `kd_keras.export.race`.

    Args:
        paths: `.tflite` files; the first one is what ratios refer to.
        keras_models: `.keras` files, such as the student's and the teacher's.
        threads: Numbers of threads, each >= 1.
        xnnpack: Whether to run with XNNPACK, without it, or both.
        runs: Timed runs of each file and setting, >= 1.
        warmup: Runs before, >= 0.
        console: Where progress goes; by default standard output.

    Returns:
        `Benchmark`, the files first and then the Keras models.

    Raises:
        ValueError: If a file is damaged, a Keras model cannot be converted, or a count is out of
            range.

    Example:

    ```python
    from kd_keras.jobs import benchmark_files

    benchmark = benchmark_files(["student_int8.tflite"], keras_models=["student.keras"])
    benchmark.contenders[0].standings[0].latency.median_ms
    ```
    """
    console = console or Console()
    networks = [network_file(path, "keras_models") for path in keras_models]
    with tempfile.TemporaryDirectory() as folder:
        with starting(console, "Starting TensorFlow and reading the files"):
            from kd_keras import export

            names = [str(path) for path in [*paths, *networks]]
            files = [Path(path) for path in paths]
            parameters: list[int | None] = [None] * len(files)
            # Before the conversions, which take long.
            for file in files:
                export.LiteModel(file)
            for index, network in enumerate(networks):
                files.append(Path(folder) / f"{index}.tflite")
                parameters.append(_convert(network, files[-1]))
        settings = len(files) * len(threads) * len(xnnpack)
        what = f"{settings} settings, {runs} runs of each in turn"
        with progress_bar(console, what, 1) as show:
            standings = export.race(
                files,
                threads=threads,
                xnnpack=xnnpack,
                runs=runs,
                warmup=warmup,
                progress=lambda done, total: show(done / total),
            )
        contenders = []
        for index, (name, file) in enumerate(zip(names, files, strict=True)):
            operations = export.count_operations(file)
            count = parameters[index]
            contenders.append(
                Contender(
                    name=name,
                    converted=index >= len(paths),
                    bytes=file.stat().st_size,
                    parameters=operations.parameters if count is None else count,
                    operations=operations,
                    arena_bytes=export.arena_bytes(file),
                    standings=standings[index * settings // len(files) :][: settings // len(files)],
                )
            )
    return Benchmark(runs, warmup, tuple(contenders), environment())


def _convert(network: Path, file: Path) -> int:
    """Write the float32 `.tflite` file of a Keras model and return its number of parameters."""
    from kd_keras import export
    from kd_keras.export.student import student_inputs

    model = load_network(network, "keras_models")
    specs = list(student_inputs(model, None).specs.values())
    spec = specs[0]
    if len(specs) > 1 or None in spec.shape[1:]:
        raise ValueError(
            "`keras_models` must take images of one known size, and nothing else, to be timed. "
            f"Received: {str(network)!r} with inputs {[tuple(each.shape) for each in specs]}."
        )
    images = np.random.default_rng(0).integers(0, 256, (8, *spec.shape[1:]))
    export.to_tflite(
        model,
        file,
        verification_data=images.astype(spec.dtype.as_numpy_dtype),
        input_range=None,
    )
    return int(model.count_params())
