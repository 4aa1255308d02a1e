"""What a second worker brings: images a second on two processes, against one.

    python benchmarks/workers.py [--help]

Three processes are started and wait. In a round, one alone trains for some steps by `fit`, without
a strategy, on the first core; then two train as many steps together, as the workers of a
`MultiWorkerMirroredStrategy` on 127.0.0.1, one on the first core and one on the second. Each has
one core and one thread of computation, and the same number of images in its part of a batch. A
ratio is formed within a round: the machine's speed may drift between rounds, not within one.

Printed are the ratios of throughput, median and quartiles: on the clock (a pair is as slow as its
slower worker), and by the processor's time of the workers, which other work on the machine disturbs
less but in which waiting for the other one does not count. The machine needs two cores that do
nothing else: what slows one worker slows the pair. The ratio falls short of 2 by what the workers
do beside computing (in a step, one all-reduce of the gradients and two of a few numbers: whether
the loss is finite, and the logs), and by how long one waits for the other.

`--profile FOLDER` writes a trace of one more round, for Perfetto or TensorBoard: look for
CollectiveReduce.
"""

from __future__ import annotations

import json
import os
import pathlib
import socket
import subprocess
import sys
import time
from typing import Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

CLASSES = 10


def work(core: int, options: dict[str, Any]) -> None:
    """Be one of the three: train when told to, and print the seconds it took."""
    os.sched_setaffinity(0, {core})  # before TensorFlow counts the cores
    import contextlib

    import keras
    import tensorflow as tf

    import kd_keras

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    strategy = tf.distribute.MultiWorkerMirroredStrategy() if "TF_CONFIG" in os.environ else None
    workers = strategy.num_replicas_in_sync if strategy else 1
    keras.utils.set_random_seed(0)
    with strategy.scope() if strategy else contextlib.nullcontext():
        teacher, student = (
            kd_keras.models.from_name(name, input_shape=(32, 32, 3), num_classes=CLASSES, seed=0)
            for name in (options["teacher"], options["student"])
        )
        distiller = kd_keras.Distiller(
            teacher,
            student,
            kd_keras.losses.KLDivergence(4.0),
            teacher_inference=options["teacher_inference"],
        )
        distiller.compile(
            keras.optimizers.SGD(0.01),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
    random = np.random.default_rng(0)
    batch = options["batch"] * workers
    x = random.integers(0, 256, (batch, 32, 32, 3)).astype("uint8")
    y = random.integers(0, CLASSES, batch)
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(batch, drop_remainder=True).repeat()
    tell = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        folder = line.strip()
        with tf.profiler.experimental.Profile(folder) if folder else contextlib.nullcontext():
            wall, processor = time.perf_counter(), time.process_time()
            distiller.fit(data, steps_per_epoch=options["steps"], verbose=0)
            wall, processor = time.perf_counter() - wall, time.process_time() - processor
        print(json.dumps([wall, processor]), file=tell, flush=True)


def start(core: int, options: dict[str, Any], cluster: list[str], index: int) -> subprocess.Popen:
    """Start one of the three."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("TF_CONFIG", None)
    if cluster:
        task = {"type": "worker", "index": index}
        environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": cluster}, "task": task})
    return subprocess.Popen(
        [sys.executable, __file__, "work", str(core), json.dumps(options)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )


def turn(
    processes: list[subprocess.Popen], profile: pathlib.Path | None = None
) -> tuple[float, float]:
    """Let the processes train together; return the longest seconds on clock and processor."""
    for index, process in enumerate(processes):
        assert process.stdin is not None
        folder = "" if profile is None else str(profile.resolve() / f"worker{index}")
        process.stdin.write(folder + "\n")
        process.stdin.flush()
    times = []
    for process in processes:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit("A worker stopped; what it said is above.")
        times.append(json.loads(line))
    wall, processor = np.max(times, axis=0)
    return float(wall), float(processor)


def addresses() -> list[str]:
    """Return two free addresses on this machine."""
    sockets = [socket.socket() for _ in range(2)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    names = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return names


def main(
    rounds: int = 9,
    warmup: int = 1,
    steps: int = 10,
    batch: int = 128,
    teacher: str = "resnet56",
    student: str = "resnet20",
    teacher_inference: str = "auto",
    profile: pathlib.Path | None = None,
) -> None:
    """Print the throughput of two workers over that of one.

    Args:
        rounds: Rounds that are counted.
        warmup: Rounds before those, at least 1: the first one traces the step.
        steps: Steps in a round.
        batch: Examples in the part of a batch that one worker has.
        teacher: Architecture, as kd_keras.models.from_name takes it.
        student: Architecture, as kd_keras.models.from_name takes it.
        teacher_inference: As kd_keras.Distiller takes it.
        profile: Folder for a trace of one more round of the two workers.
    """
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise SystemExit(f"Two cores are needed, one for each worker. Received: cores {cores}.")
    options = {
        "teacher": teacher,
        "student": student,
        "teacher_inference": teacher_inference,
        "batch": batch,
        "steps": steps,
    }
    cluster = addresses()
    alone = [start(cores[0], options, [], 0)]
    pair = [start(core, options, cluster, index) for index, core in enumerate(cores)]
    try:
        times = []
        for number in range(warmup + rounds):
            times.append([turn(alone), turn(pair)])
            if number + 1 == warmup:
                times.clear()
        if profile is not None:
            turn(pair, profile)
    finally:
        for process in [*alone, *pair]:
            process.kill()
            process.wait()
    report(np.array(times), steps * batch)


def report(times: np.ndarray, images: int) -> None:
    """Print what was measured; `times` is (rounds, alone or pair, clock or processor)."""
    table = Table(title="images a second, and two workers / one within a round")
    for column in ("time", "one worker", "two workers", "ratio", "quartiles", "bar"):
        table.add_column(column, justify="left" if column == "time" else "right")
    for index, name in enumerate(("clock", "processor")):
        one, two = images / times[:, 0, index], 2 * images / times[:, 1, index]
        low, mid, high = np.percentile(two / one, [25, 50, 75])
        table.add_row(
            name,
            f"{np.median(one):.1f}",
            f"{np.median(two):.1f}",
            f"{mid:.3f}",
            f"{low:.3f} to {high:.3f}",
            ">= 1.6" if name == "clock" else "",
        )
    Console(width=100).print(table)


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        work(int(sys.argv[2]), json.loads(sys.argv[3]))
    else:
        tyro.cli(main)
