"""Whether the input keeps up: steps on data from disk against steps on one batch in memory.

    python benchmarks/input.py [--data-dir DIR] [--help]

With `--data-dir` the data are CIFAR-10 as TensorFlow Datasets prepared it there, else PNG files of
the same shape, made for the purpose and read as a folder of images. Three contenders train the same
Distiller: on one batch that is in memory, on images that are read and decoded in every epoch, and
on images that `kd_keras.data.load` keeps in memory after the first. All of them are uint8 until
they are on the device.

The contenders take turns in blocks of steps. Each block from disk crosses from one epoch to the
next, where a shuffled pipeline has to fill its window anew; that step is told apart from the
others. The first steps of a block are not counted: the pipeline had time to prepare them while
others had their turn. The smaller the networks, the harder for the input.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import PIL.Image
import tyro
from rich.console import Console
from rich.table import Table

import kd_keras

MEMORY, STREAMED, CACHED = "one batch in memory", "read in every epoch", "kept decoded"
MADE_IMAGES, CLASSES = 4096, 10


class Times(NamedTuple):
    """Seconds of the counted steps of one block.

    Attributes:
        steps: Of each ordinary step, waiting included.
        waits: Of waiting for its batch.
        boundary: Of waiting for the first batch of the next epoch.
    """

    steps: np.ndarray
    waits: np.ndarray
    boundary: float


def made_images(folder: Path) -> Path:
    """Write PNG files of the shape of CIFAR-10 and return their folder."""
    random = np.random.default_rng(0)
    for split, count in (("train", MADE_IMAGES), ("test", 10 * CLASSES)):
        for number in range(count):
            place = folder / split / str(number % CLASSES)
            place.mkdir(parents=True, exist_ok=True)
            pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            PIL.Image.fromarray(pixels).save(place / f"{number}.png")
    return folder


def distiller(teacher: str, student: str) -> kd_keras.Distiller:
    def network(name: str, seed: int) -> keras.Model:
        return kd_keras.models.from_name(name, input_shape=(32, 32, 3), num_classes=10, seed=seed)

    made = kd_keras.Distiller(
        network(teacher, 0),
        network(student, 1),
        kd_keras.losses.KLDivergence(4.0),
        augmentation=kd_keras.augment.named("standard", seed=0),
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile(keras.optimizers.SGD(0.01), loss, metrics=["accuracy"])
    made.make_train_function()
    return made


def block(model: kd_keras.Distiller, batches: Iterator[Any], before: int, after: int) -> Times:
    """Take `before` steps, one at the boundary of epochs, and `after` more."""
    seconds, waits = [], []
    for _ in range(before + 1 + after):
        start = time.perf_counter()
        batch = next(batches)
        waits.append(time.perf_counter() - start)
        for leaf in keras.tree.flatten(model.train_function(iter([batch]))):
            np.asarray(leaf)  # wait for the result
        seconds.append(time.perf_counter() - start)
    ordinary = [*range(before // 2, before), *range(before + 1, before + 1 + after)]
    return Times(np.array(seconds)[ordinary], np.array(waits)[ordinary], waits[before])


def measure(
    model: kd_keras.Distiller, splits: dict[str, Any], rounds: int, before: int, after: int
) -> dict[str, list[Times]]:
    one = next(iter(splits[STREAMED].training()))
    measured: dict[str, list[Times]] = {MEMORY: [], STREAMED: [], CACHED: []}
    for number in range(-1, rounds):  # the first round traces, and fills the memory
        for name, times in measured.items():
            batches: Iterator[Any] = iter(lambda: one, None)
            if name != MEMORY:
                first_step = splits[name].steps_per_epoch - before
                batches = iter(splits[name].training(number + 1, first_step))
            found = block(model, batches, before, after)
            if number >= 0:
                times.append(found)
    return measured


def report(measured: dict[str, list[Times]], console: Console) -> None:
    memory = np.array([np.median(times.steps) for times in measured[MEMORY]])
    table = Table(title="quartiles of the rounds")
    for column in ("batches", "ms a step", "step / step in memory", "waited, % of step", "ms wait"):
        table.add_column(column, justify="left" if column == "batches" else "right")
    for name, blocks in measured.items():
        steps = np.array([np.median(times.steps) for times in blocks])
        waits = np.array([times.waits.sum() / times.steps.sum() for times in blocks])
        boundary = np.array([times.boundary for times in blocks])
        table.add_row(
            name,
            quartiles(1000 * steps, 1),
            quartiles(steps / memory, 3),
            quartiles(100 * waits, 2),
            quartiles(1000 * boundary, 1),
        )
    console.print(table)
    console.print('"ms wait" is that for the first batch of an epoch; all else leaves it out.')


def quartiles(values: np.ndarray, digits: int) -> str:
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def main(
    data_dir: Path | None = None,
    rounds: int = 7,
    before: int = 16,
    after: int = 16,
    batch: int = 128,
    teacher: str = "resnet20",
    student: str = "resnet8",
) -> None:
    """Print how much longer a step takes on data from disk, and how long it waits for them.

    Args:
        data_dir: Where TensorFlow Datasets keeps CIFAR-10; without it images are made.
        rounds: Rounds that are counted.
        before: Steps of a block before the next epoch begins; the first half is not counted.
        after: Steps of a block in the next epoch.
        batch: Examples in a batch.
        teacher: Architecture, as kd_keras.models.from_name takes it.
        student: Architecture, as kd_keras.models.from_name takes it.
    """
    with tempfile.TemporaryDirectory() as folder:
        name = "cifar10" if data_dir else made_images(Path(folder))
        options = {"data_dir": data_dir, "download": False, "batch_size": batch}
        splits = {
            STREAMED: kd_keras.data.load(name, cache=False, **options),
            CACHED: kd_keras.data.load(name, cache=True, **options),
        }
        report(
            measure(distiller(teacher, student), splits, rounds, before, after), Console(width=120)
        )


if __name__ == "__main__":
    tyro.cli(main)
