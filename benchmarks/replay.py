"""What an epoch of replayed distillation costs, against the plain student and the live teacher.

    python benchmarks/replay.py [--help]

Every contender trains an epoch in turn, round after round, by the very function that `fit` loops
over and from its own `tf.data` pipeline, with the same images and the same policy (`standard`:
flips and shifts). Making the pipeline, which `fit` does once for all epochs, is not counted. A
ratio is formed within a round: the machine's speed may drift between rounds, not within one.
Printed are the median ratio and its quartiles, of the time on the clock and of the processor's
time, which other work on the machine disturbs less.
"""

from __future__ import annotations

import os
import pathlib
import tempfile
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
import tyro
from rich.console import Console
from rich.table import Table

import kd_keras
from kd_keras import Supervised

CLASSES = 10


def network(name: str, seed: int) -> keras.Model:
    return kd_keras.models.from_name(name, input_shape=(32, 32, 3), num_classes=CLASSES, seed=seed)


def images(examples: int, batch: int) -> tf.data.Dataset:
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (examples, 32, 32, 3)).astype("uint8")
    y = random.integers(0, CLASSES, examples)
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(batch)


def policy() -> object:
    return kd_keras.augment.standard(seed=0)


def epoch_of(model: keras.Model, data: tf.data.Dataset, steps: int) -> Callable[[], object]:
    """Return one epoch of steps."""
    model.compile(
        keras.optimizers.SGD(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.make_train_function()
    batches = iter(data)

    def epoch() -> None:
        for _ in range(steps):
            logs = model.train_function(batches)
        for value in keras.tree.flatten(logs):
            np.asarray(value)  # wait for the result

    return epoch


def contenders(
    teacher_name: str, student_name: str, examples: int, batch: int, k: int | None, folder: str
) -> dict[str, Callable[[], object]]:
    data = images(examples, batch)
    steps = int(data.cardinality())
    teacher = network(teacher_name, 0)
    # One recorded epoch, again and again: what it costs does not depend on which one it is.
    kd_keras.replay.record(teacher, data, folder, epochs=1, augmentation=policy(), k=k)
    replay = kd_keras.replay.ReplayTeacher(folder, cycle=True)

    def distiller(teacher: object) -> kd_keras.Distiller:
        kl = kd_keras.losses.KLDivergence(4.0)
        return kd_keras.Distiller(teacher, network(student_name, 1), kl, augmentation=policy())

    plain = Supervised(network(student_name, 1), policy())
    return {
        "plain student": epoch_of(plain, data.repeat(), steps),
        "replay": epoch_of(distiller(replay), replay.training(data), steps),
        "live teacher": epoch_of(distiller(teacher), data.repeat(), steps),
    }


def measure(
    functions: dict[str, Callable[[], object]], rounds: int, warmup: int
) -> dict[str, np.ndarray]:
    """Return, for each contender, (clock seconds, processor seconds) of each round."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in functions}
    for number in range(warmup + rounds):
        # Back and forth, so that none is always the one behind the longest.
        order = list(functions) if number % 2 else list(reversed(functions))
        for name in order:
            start, worked = time.perf_counter(), time.process_time()
            functions[name]()
            if number >= warmup:
                took = time.perf_counter() - start, time.process_time() - worked
                times[name].append(took)
    return {name: np.array(values) for name, values in times.items()}


def report(times: dict[str, np.ndarray], stored: str, console: Console) -> None:
    kinds = ("clock", "processor")
    seconds = Table(title="seconds an epoch", caption=stored)
    table = Table(title="ratios within a round")
    for columns, made in (
        (("contender", "time", "median", "quartiles"), seconds),
        (("ratio", "time", "median", "quartiles", "bar"), table),
    ):
        for column in columns:
            made.add_column(column, justify="right" if column in columns[2:] else "left")
    for name, values in times.items():
        for kind, low, mid, high in quartiles(kinds, values):
            seconds.add_row(name, kind, f"{mid:.2f}", f"{low:.2f} to {high:.2f}")
    for name, values, bar in (
        ("replay / plain student", times["replay"] / times["plain student"], "<= 1.05"),
        ("live teacher / replay", times["live teacher"] / times["replay"], ">= 2.20"),
    ):
        for kind, low, mid, high in quartiles(kinds, values):
            table.add_row(name, kind, f"{mid:.3f}", f"{low:.3f} to {high:.3f}", bar)
    console.print(seconds)
    console.print(table)


def quartiles(kinds: tuple[str, ...], values: np.ndarray) -> list[tuple[str, float, float, float]]:
    low, mid, high = np.percentile(values, [25, 50, 75], axis=0)
    return list(zip(kinds, low, mid, high, strict=True))


def main(
    rounds: int = 15,
    warmup: int = 2,
    examples: int = 2560,
    batch: int = 128,
    k: int | None = None,
    teacher: str = "resnet56",
    student: str = "resnet8",
) -> None:
    """Print what an epoch from a recording costs, against the plain student and the live teacher.

    Args:
        rounds: Rounds that are counted.
        warmup: Rounds before those.
        examples: Images in an epoch.
        batch: Examples in a batch.
        k: Classes stored of each view; all by default.
        teacher: Architecture, as kd_keras.models.from_name takes it.
        student: Architecture, as kd_keras.models.from_name takes it.
    """
    # Each contender has a train function of its own; TensorFlow takes them for one that retraces.
    tf.get_logger().setLevel("ERROR")
    with tempfile.TemporaryDirectory() as folder:
        functions = contenders(teacher, student, examples, batch, k, folder)
        size = sum(path.stat().st_size for path in pathlib.Path(folder).glob("epoch-*.npy"))
        stored = f"{teacher} teaches {student}; {size / examples:.1f} bytes stored for each view"
        report(measure(functions, rounds, warmup), stored, Console(width=100))


if __name__ == "__main__":
    tyro.cli(main)
