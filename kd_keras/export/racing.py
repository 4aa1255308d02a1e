"""Several files timed against each other: they take turns, so that noise hits all alike."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kd_keras.arguments import check_integer
from kd_keras.export.timing import Latency, prepared, timed

_ROUNDS = 20


@dataclass(frozen=True)
class Entry:
    """A file and how it runs.

    Attributes:
        path: The file.
        threads: How many threads its kernels may use.
        xnnpack: Whether LiteRT may hand operators to XNNPACK.
    """

    path: Path
    threads: int
    xnnpack: bool


@dataclass(frozen=True)
class Ratio:
    """A time divided by another one, over rounds in which both were taken.

    Attributes:
        median: Median over the rounds.
        lower: First quartile.
        upper: Third quartile.
    """

    median: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Standing:
    """What was measured of an entry.

    Attributes:
        entry: The file and how it ran.
        latency: Median and 90th percentile over all runs.
        ratio: Its time to that of the first file with the same threads and XNNPACK, formed round by
            round.
    """

    entry: Entry
    latency: Latency
    ratio: Ratio


def race(
    paths: Sequence[str | os.PathLike[str]],
    *,
    threads: Sequence[int] = (1,),
    xnnpack: Sequence[bool] = (True,),
    runs: int = 200,
    warmup: int = 20,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Standing, ...]:
    """Time files against each other on this machine, one image at a time.

    Every file runs under every combination of `threads` and `xnnpack`. The runs are cut into
    rounds (20, or `runs` where that is less). In each round every entry gets one turn, in an order
    drawn anew; the first run of a turn, which finds the caches full of others' data, is not timed.
    A ratio is formed within a round, from the medians of two turns, so that a machine that slows
    down for a while slows both.

    Args:
        paths: The files; the first one is what ratios refer to.
        threads: Numbers of threads, each >= 1.
        xnnpack: Whether to run with XNNPACK, without it, or both.
        runs: How many runs to time of each entry, >= 1.
        warmup: How many runs of each to make before, >= 0.
        progress: Called after every turn with the number of turns done and of all turns.

    Returns:
        A `Standing` for each entry, file by file.

    Raises:
        ValueError: If a file is damaged, its input has an open size beside the batch, or a count
            is out of range.

    Example:

    >>> import keras, kd_keras
    >>> student = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),
    ...                             keras.layers.Dense(10)])
    >>> result = kd_keras.export.to_tflite(student, "student.tflite")
    >>> first, second = kd_keras.export.race(["student.tflite"], threads=(1, 2))
    >>> first.ratio.median, second.entry.threads
    (1.0, 2)
    """
    check_integer("runs", runs, 1)
    check_integer("warmup", warmup, 0)
    if not paths or not threads or not xnnpack:
        raise ValueError(
            "`paths`, `threads` and `xnnpack` must hold at least one value each. "
            f"Received: paths={paths!r}, threads={threads!r}, xnnpack={xnnpack!r}"
        )
    entries = [
        Entry(Path(path), count, delegated)
        for path in paths
        for count in threads
        for delegated in xnnpack
    ]
    functions = [prepared(e.path, threads=e.threads, xnnpack=e.xnnpack) for e in entries]
    for run in functions:
        for _ in range(warmup):
            run()
    rounds = min(_ROUNDS, runs)
    sizes = [len(part) for part in np.array_split(np.arange(runs), rounds)]
    turns: list[list[np.ndarray]] = [[] for _ in entries]
    order = np.random.default_rng(0)
    done = 0
    for size in sizes:
        for index in order.permutation(len(entries)):
            functions[index]()
            turns[index].append(timed(functions[index], size))
            done += 1
            if progress is not None:
                progress(done, rounds * len(entries))
    return tuple(_standings(entries, turns))


def _standings(entries: list[Entry], turns: list[list[np.ndarray]]) -> list[Standing]:
    medians = [np.array([np.median(turn) for turn in mine]) for mine in turns]
    # Of every setting the first entry is the first file's.
    first: dict[tuple[int, bool], np.ndarray] = {}
    standings = []
    for entry, mine, median in zip(entries, turns, medians, strict=True):
        base = first.setdefault((entry.threads, entry.xnnpack), median)
        every = np.concatenate(mine)
        middle, p90 = np.percentile(every, [50, 90])
        lower, ratio, upper = np.percentile(median / base, [25, 50, 75])
        standings.append(
            Standing(
                entry,
                Latency(float(middle), float(p90), len(every), entry.threads),
                Ratio(float(ratio), float(lower), float(upper)),
            )
        )
    return standings
