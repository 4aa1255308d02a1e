"""Whether students from a recording become as good as students of the live teacher, on digits.

    python benchmarks/replay_accuracy.py [--help]

For each seed one teacher teaches three students that differ in nothing else: live, from a recording
of all classes, and from a recording of the k likeliest ones. Initial weights, order of the data,
views, optimizer and schedule are the same. Accuracy is that of the last epoch on the 300 test
images, of which one is a third of a point.
"""

from __future__ import annotations

import os
import pathlib
import statistics
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

import kd_keras
from kd_keras import Supervised


def network(name: str, seed: int) -> keras.Model:
    return kd_keras.models.from_name(name, input_shape=(8, 8, 1), num_classes=10, seed=seed)


def trained(model: keras.Model, data: object, steps: int, epochs: int, rate: float) -> dict:
    schedule = keras.optimizers.schedules.CosineDecay(rate, epochs * steps)
    model.compile(
        keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    history = model.fit(data, steps_per_epoch=steps, epochs=epochs, verbose=0, shuffle=False)
    return history.history


def accuracy(model: keras.Model, splits: object) -> float:
    return 100 * kd_keras.evaluate.accuracy(*kd_keras.evaluate.predict_logits(model, splits.test))


def main(
    seeds: int = 3,
    teacher: str = "resnet20",
    student: str = "resnet8x4",
    teacher_epochs: int = 20,
    epochs: int = 10,
    k: int = 3,
    rate: float = 0.1,
    data_dir: str | None = None,
) -> None:
    """Compare students of the live teacher with students from its recordings.

    Args:
        seeds: How many seeds, counted from 0.
        teacher: Architecture, as kd_keras.models.from_name takes it.
        student: Architecture, as kd_keras.models.from_name takes it.
        teacher_epochs: Epochs of the teacher.
        epochs: Epochs of each student.
        k: Classes in the smaller recording.
        rate: Initial learning rate of all networks.
        data_dir: Where TensorFlow Datasets keeps its data; its own default otherwise.
    """
    console = Console(width=100)
    columns = ("teacher", "live", "all classes", f"{k} classes")
    found: dict[str, list[float]] = {name: [] for name in columns}
    apart = []
    for seed in range(seeds):
        splits = kd_keras.data.load("digits", data_dir=data_dir, batch_size=64, seed=seed)
        steps = splits.steps_per_epoch
        policy = kd_keras.augment.digits(seed=seed)
        taught = network(teacher, seed)
        trained(Supervised(taught, policy), splits.training(), steps, teacher_epochs, rate)
        found["teacher"].append(accuracy(taught, splits))
        losses = {}
        for name, kept in (("live", None), ("all classes", None), (f"{k} classes", k)):
            with tempfile.TemporaryDirectory() as folder:
                who, data = taught, splits.training()
                if name != "live":
                    path = pathlib.Path(folder) / "labels"
                    kd_keras.replay.record(
                        taught, splits, path, epochs=epochs, augmentation=policy, k=kept
                    )
                    who = kd_keras.replay.ReplayTeacher(path)
                    data = who.training(splits)
                learner = network(student, seed)
                kl = kd_keras.losses.KLDivergence(4.0)
                distiller = kd_keras.Distiller(
                    who, learner, kl, student_loss_weight=0.1, augmentation=policy
                )
                losses[name] = trained(distiller, data, steps, epochs, rate)["loss"]
            found[name].append(accuracy(learner, splits))
        live, replayed = (np.array(losses[name]) for name in ("live", "all classes"))
        apart.append(float(np.max(np.abs(replayed - live) / live)))
        console.print(
            f"seed {seed}: "
            + ", ".join(f"{name} {values[-1]:.2f} %" for name, values in found.items())
            + f"; losses of an epoch, all classes against live: at most {apart[-1]:.1e} apart",
            highlight=False,
        )
    table = Table(title=f"{teacher} teaches {student}, accuracy over {seeds} seeds")
    for column in columns:
        table.add_column(column, justify="right")
    table.add_row(
        *(
            f"{statistics.fmean(values):.2f} +- {statistics.stdev(values) if seeds > 1 else 0:.2f}"
            for values in found.values()
        )
    )
    console.print(table)


if __name__ == "__main__":
    tyro.cli(main)
