"""How long a `.tflite` file takes for one image."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kd_keras.arguments import check_integer
from kd_keras.export.runtime import LiteModel


@dataclass(frozen=True)
class Latency:
    """Time that a file takes for one image.

    Attributes:
        median_ms: Median in milliseconds.
        p90_ms: 90th percentile in milliseconds: nine runs of ten are no slower.
        runs: How many runs were timed.
        threads: How many threads the kernels had.
    """

    median_ms: float
    p90_ms: float
    runs: int
    threads: int


def latency(
    path: str | os.PathLike[str], *, runs: int = 200, warmup: int = 20, threads: int = 1
) -> Latency:
    """Time a `.tflite` file on this machine, one image at a time.

    Only the interpreter's work is timed: the image is in its input tensor before the clock starts.

    Args:
        path: The file.
        runs: How many runs to time, >= 1.
        warmup: How many runs to make before, >= 0, so that caches and clocks settle.
        threads: How many threads the kernels may use; phones' figures are usually of one.

    Returns:
        `Latency` with the median and the 90th percentile. Compare medians of one machine: another
        machine has other kernels and other clocks.

    Raises:
        ValueError: If the file is damaged, an input has an open size beside the batch, or a count
            is out of range.

    Example:

    >>> import keras, kd_keras
    >>> student = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),
    ...                             keras.layers.Dense(10)])
    >>> result = kd_keras.export.to_tflite(student, "student.tflite")
    >>> 0 < kd_keras.export.latency("student.tflite").median_ms < 100
    True
    """
    check_integer("runs", runs, 1)
    check_integer("warmup", warmup, 0)
    run = prepared(path, threads=threads)
    for _ in range(warmup):
        run()
    median, p90 = np.percentile(timed(run, runs), [50, 90])
    return Latency(float(median), float(p90), runs, threads)


def prepared(
    path: str | os.PathLike[str], *, threads: int = 1, xnnpack: bool = True
) -> Callable[[], None]:
    """Return the function that runs a file on one random example, the same on every call.

    Raises:
        ValueError: If the file is damaged, takes nothing, or its inputs have an open size beside
            the batch or batches of several sizes.
    """
    model = LiteModel(path, threads=threads, xnnpack=xnnpack)
    shapes = model.input_shapes
    batches = {shape[:1] for shape in shapes.values()}
    if len(batches) != 1 or batches == {()} or any(None in s[1:] for s in shapes.values()):
        raise ValueError(
            "The file must have inputs (batch, ...) of known size and one batch size to be timed. "
            f"Received: path={str(path)!r} with inputs {shapes or 'of no kind'}"
        )
    random = np.random.default_rng(0)
    examples = {}
    for name, shape in shapes.items():
        # Wide integers are ids, which look up a table: the first two of them every table has.
        are_ids = model.input_encodings[name].dtype in ("int32", "int64")
        sizes = (1, *(size or 1 for size in shape[1:]))
        values = random.uniform(0, 2 if are_ids else 255, sizes)
        examples[name] = np.floor(values) if are_ids else values
    return model.prepare(examples)


def timed(run: Callable[[], None], runs: int) -> np.ndarray:
    """Return the milliseconds of each of `runs` calls."""
    times = np.empty(runs)
    for index in range(runs):
        start = time.perf_counter_ns()
        run()
        times[index] = time.perf_counter_ns() - start
    return times / 1e6
