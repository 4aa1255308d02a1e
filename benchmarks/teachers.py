"""What several teachers and those that move cost, against the sum of what they are made of.

    python benchmarks/teachers.py [--help]

As in `benchmarks/step.py` every contender takes one turn in each round, and each ratio is formed
within a round.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
import tyro
from rich.console import Console
from step import batches, crossentropy, measure, network, show_all, train_step

import kd_keras
from kd_keras.teachers import Ensemble, Frozen, Learning, MovingAverage, Peers
from kd_keras.training.batch import Batch


def forward(teacher: keras.layers.Layer, student: keras.Model, x: tf.Tensor) -> Callable:
    """Return what asks a teacher once, as the step does."""
    taught = teacher.teach((), student, None)
    ask = tf.function(lambda images: taught.answer(Batch(images)).logits, autograph=False)
    ask(x)
    return lambda: ask(x)


def contenders(names: Sequence[str], student_name: str, batch: int) -> dict[str, Callable]:
    x, y = batches(batch)
    teachers = [network(name, seed) for seed, name in enumerate(names)]
    for teacher in teachers:
        teacher(x, training=True)  # batch statistics as training leaves them
    kl = kd_keras.losses.KLDivergence(4.0)

    def step(teacher: object, losses: object = kl) -> Callable:
        student = network(student_name, 9)
        distiller = kd_keras.Distiller(teacher, student, losses)
        distiller.compile(keras.optimizers.SGD(0.01), crossentropy(), metrics=["accuracy"])
        return train_step(distiller, x, y)

    def described(count: int) -> dict[str, Frozen]:
        return {f"t{i}": Frozen(teacher) for i, teacher in enumerate(teachers[:count])}

    student = network(student_name, 9)
    alone = network(student_name, 9)
    alone.compile(keras.optimizers.SGD(0.01), crossentropy(), metrics=["accuracy"])
    found = {f"forward {i}": forward(Frozen(t), student, x) for i, t in enumerate(teachers)}
    found["plain student step"] = train_step(alone, x, y)
    found["step, one teacher"] = step(Frozen(teachers[0]))
    for count in (2, 3):
        found[f"forward, ensemble of {count}"] = forward(Ensemble(described(count)), student, x)
        found[f"step, ensemble of {count}"] = step(Ensemble(described(count)))
        of_each = {name: kl for name in described(count)}
        found[f"step, {count} named"] = step(described(count), of_each)
    found["step, moving average"] = step(MovingAverage())
    inputs = keras.Input(x.shape[1:])
    peers = {name: network(student_name, seed)(inputs) for seed, name in enumerate("ab")}
    mutual = kd_keras.Distiller(Peers(), keras.Model(inputs, peers), kl, combine="sum")
    mutual.compile(
        keras.optimizers.SGD(0.01),
        dict.fromkeys(peers, crossentropy()),
        metrics={name: ["accuracy"] for name in peers},
    )
    found["step, two peers"] = train_step(mutual, x, dict.fromkeys(peers, y))
    learner = network(student_name, 8)
    found["step, a teacher like the student that learns"] = step(
        Learning(learner, keras.optimizers.SGD(0.01), crossentropy())
    )
    twin = network(student_name, 9)
    found["step, the student's twin"] = step(Frozen(twin, inference="keras"))
    return found


def report(times: dict[str, np.ndarray], console: Console) -> None:
    student, single = times["plain student step"], times["step, one teacher"]
    ratios = []
    for count in (2, 3):
        forwards = [times[f"forward {i}"] for i in range(count)]
        ensemble = times[f"forward, ensemble of {count}"]
        ratios += [
            (
                f"forward of an ensemble of {count} / sum of forwards",
                ensemble / sum(forwards),
                "<= 1.03",
            ),
            (
                f"step, ensemble of {count} / (student step + sum of forwards)",
                times[f"step, ensemble of {count}"] / (student + sum(forwards)),
                "<= 1.03",
            ),
            (
                f"step, {count} named / (step with one + the other forwards)",
                times[f"step, {count} named"] / (single + sum(forwards[1:])),
                "<= 1.03",
            ),
        ]
    twin = times["step, the student's twin"]
    ratios.append(
        (
            "step, moving average / step, the student's twin",
            times["step, moving average"] / twin,
            "",
        )
    )
    for name in ("two peers", "a teacher like the student that learns"):
        ratio = times[f"step, {name}"] / (2 * student)
        ratios.append((f"step, {name} / two plain student steps", ratio, "<= 1.05"))
    show_all(times, ratios, console)


def main(
    rounds: int = 9,
    warmup: int = 2,
    batch: int = 128,
    teachers: tuple[str, str, str] = ("resnet56", "resnet56", "resnet56"),
    student: str = "resnet20",
    processor_time: bool = False,
) -> None:
    """Print what ensembles, named teachers, peers and teachers that move cost.

    Args:
        rounds: Rounds that are counted.
        warmup: Rounds before those.
        batch: Examples in a batch.
        teachers: Three architectures, as kd_keras.models.from_name takes them.
        student: Architecture of the student.
        processor_time: Count the seconds of processor, not those on the wall.
    """
    tf.get_logger().setLevel("ERROR")  # many functions are not one that retraces
    functions = contenders(teachers, student, batch)
    clock = time.process_time if processor_time else time.perf_counter
    report(measure(functions, rounds, warmup, clock), Console(width=110))


if __name__ == "__main__":
    tyro.cli(main)
