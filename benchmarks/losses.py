"""What each loss costs: its share of a training step, and its memory.

    python benchmarks/losses.py [--help]

A loss is timed by itself: forward and backward, from the tapped tensors of both networks to the
gradients at the student's tensors and at the layers that the loss owns. Losses that change the rest
of the step are timed as whole steps, less the step with the KL divergence. All contenders and that
step take turns, round after round, and a share is formed within a round; printed are the median and
the quartiles.

Memory is the growth of a process's largest resident size by the first run of the loss, at
`--memory-batch` examples; every loss gets a process of its own. Of a whole step it is the growth by
the first step, and that of the step with the KL divergence is taken off.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
import tyro
from rich.console import Console
from rich.progress import track

import kd_keras
from kd_keras import losses
from kd_keras.training.batch import Answer, Batch
from kd_keras.training.building import build_for

STAGES = ["stage1_out", "stage2_out", "stage3_out"]
LAST = {"teacher_layer_name": STAGES[-1], "student_layer_name": STAGES[-1]}
ALL = {"teacher_layer_name": STAGES, "student_layer_name": STAGES}
POOLED = {"teacher_layer_name": "features", "student_layer_name": "features"}

STEP = "step"

CONTENDERS: dict[str, Callable[[], Any]] = {
    "KLDivergence": losses.KLDivergence,
    "SoftCrossentropy": losses.SoftCrossentropy,
    "LogitsMSE": losses.LogitsMSE,
    "ProbabilityMSE": losses.ProbabilityMSE,
    "StandardizedKL": losses.StandardizedKL,
    "DecoupledKD": losses.DecoupledKD,
    "DIST": losses.DIST,
    "HardLabel": losses.HardLabel,
    "AttentionTransfer, last stage": lambda: losses.AttentionTransfer(**LAST),
    "NeuronSelectivity, last stage": lambda: losses.NeuronSelectivity(**LAST),
    "Hint with adapter, last stage": lambda: losses.Hint(**LAST, adapter=True),
    "VariationalInformation, last stage": lambda: losses.VariationalInformation(**LAST),
    "OverhaulFeature, three stages": lambda: losses.OverhaulFeature(**ALL, margin=-0.5),
    "KnowledgeReview, three stages": lambda: losses.KnowledgeReview(**ALL),
    "SimilarityPreserving, last stage": lambda: losses.SimilarityPreserving(**LAST),
    "RelationalKD, pooled": lambda: losses.RelationalKD(**POOLED),
    "ProbabilisticTransfer, pooled": lambda: losses.ProbabilisticTransfer(**POOLED),
    "CorrelationCongruence, pooled": lambda: losses.CorrelationCongruence(**POOLED),
    "InBatchContrast, pooled": lambda: losses.InBatchContrast(**POOLED),
}
# The memory of one is as large as CIFAR-10's training split, with the reference's negatives.
WHOLE_STEPS: dict[str, Callable[[], Any]] = {
    "InputGradient": losses.InputGradient,
    "ContrastiveRepresentation, pooled": lambda: losses.ContrastiveRepresentation(
        **POOLED, samples=50_000, negatives=16_384
    ),
}


class Networks:
    """Teacher, student and one batch."""

    def __init__(self, teacher: str, student: str, batch: int):
        self.models = [
            kd_keras.models.from_name(name, input_shape=(32, 32, 3), num_classes=10, seed=seed)
            for seed, name in enumerate((teacher, student))
        ]
        random = np.random.default_rng(0)
        self.x = tf.constant(random.integers(0, 256, (batch, 32, 32, 3)).astype("float32"))
        self.y = tf.constant(random.integers(0, 10, batch))

    def distiller(self, loss: Any) -> kd_keras.Distiller:
        # All share the networks: to build them takes longer than to time a loss.
        distiller = kd_keras.Distiller(*self.models, loss)
        crossentropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        distiller.compile(keras.optimizers.SGD(0.01), crossentropy)
        return distiller

    def step(self, loss: Any) -> Callable[[], Any]:
        """Return one step of `fit`: the very function that Keras loops over."""
        distiller = self.distiller(loss)
        x: Any = self.x
        if isinstance(loss, losses.ContrastiveRepresentation):
            x = {"image": x, "sample_index": tf.range(len(self.x))}
        iterator = iter(tf.data.Dataset.from_tensors((x, self.y)).repeat())
        distiller.make_train_function()
        return lambda: distiller.train_function(iterator)

    def loss(self, loss: Any) -> Callable[[], Any]:
        """Return the loss by itself with its gradients, from tensors that are there."""
        distiller = self.distiller(loss)
        build_for(distiller, self.x, self.y)
        (term,) = distiller._parts.terms
        # In pieces: the networks would need far more memory than the loss.
        parts = tf.split(self.x, max(1, len(self.x) // 128))
        answers = [distiller.forward(Batch(part), training=False) for part in parts]
        teacher, student = (
            Answer(
                *keras.tree.map_structure(
                    lambda *tensors: tf.concat(tensors, 0),
                    *[(one.outputs, one.taps, one.logits) for one in of_network],
                )
            )
            for of_network in zip(*answers, strict=True)
        )
        owned = [w.value for layer in term.layers for w in layer.trainable_weights]
        inputs = {"x": self.x, "y": self.y, "sample_weight": None, "training": True}

        @tf.function(autograph=False)
        def cost() -> Any:
            with tf.GradientTape() as tape:
                tape.watch([student.outputs, student.logits, student.taps])
                value = term.value(teacher, student, inputs, tf.zeros((), tf.int64))
            return tape.gradient(value, [student.outputs, student.logits, student.taps, owned])

        return cost


def wait(results: Any) -> None:
    for leaf in keras.tree.flatten(results):
        if leaf is not None:
            np.asarray(leaf)


def measure(functions: dict[str, Callable[[], Any]], rounds: int) -> dict[str, np.ndarray]:
    times: dict[str, list[float]] = {name: [] for name in functions}
    for number in track(range(rounds + 2), "rounds", transient=True):
        for name, function in functions.items():
            start = time.perf_counter()
            wait(function())
            if number >= 2:  # the first ones trace
                times[name].append(time.perf_counter() - start)
    return {name: np.array(values) for name, values in times.items()}


def memory(name: str, teacher: str, student: str, batch: int) -> float:
    """Return by how many MiB this process grows when it runs for the first time."""
    networks = Networks(teacher, student, batch)
    if name in CONTENDERS:
        # Traced before: only what runs is counted.
        run = networks.loss(CONTENDERS[name]()).get_concrete_function()
    else:
        run = networks.step(WHOLE_STEPS[name]() if name in WHOLE_STEPS else losses.KLDivergence())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wait(run())
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main(
    rounds: int = 11,
    batch: int = 128,
    memory_batch: int = 512,
    teacher: str = "resnet56",
    student: str = "resnet20",
    memory_of: str | None = None,
) -> None:
    """Print what each loss costs as a Markdown table.

    Args:
        rounds: Rounds that are counted.
        batch: Examples in a batch.
        memory_batch: Examples in the batch whose memory is measured; 0 for no memory.
        teacher: Architecture, as kd_keras.models.from_name takes it.
        student: Architecture, as kd_keras.models.from_name takes it.
        memory_of: Print the memory of this one loss, or of the "step", and nothing else.
    """
    tf.get_logger().setLevel("ERROR")
    if memory_of is not None:
        print(memory(memory_of, teacher, student, memory_batch))
        return

    def memory_elsewhere(name: str) -> float:
        options = ("--memory-batch", memory_batch, "--teacher", teacher, "--student", student)
        command = [sys.executable, __file__, *map(str, options), "--memory-of", name]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return float(done.stdout.split()[-1])

    networks = Networks(teacher, student, batch)
    functions = {STEP: networks.step(losses.KLDivergence())}
    functions |= {name: networks.loss(make()) for name, make in CONTENDERS.items()}
    functions |= {name: networks.step(make()) for name, make in WHOLE_STEPS.items()}
    times = measure(functions, rounds)
    step = times.pop(STEP)
    of_step = memory_elsewhere(STEP) if memory_batch else 0.0
    print(f"The step with the KL divergence: {1000 * np.median(step):.0f} ms")
    print("| loss | median ms | share of the step | quartiles | MiB at batch", memory_batch, "|")
    print("|---|---:|---:|---:|---:|")
    for name, values in track(
        times.items(), "memory", transient=True, console=Console(stderr=True)
    ):
        extra = values - step if name in WHOLE_STEPS else values
        low, mid, high = np.percentile(extra / step, [25, 50, 75])
        grown = ""
        if memory_batch:
            grown = f"{memory_elsewhere(name) - (of_step if name in WHOLE_STEPS else 0.0):.0f}"
        milliseconds = 1000 * np.median(extra)
        print(f"| {name} | {milliseconds:.1f} | {mid:.3f} | {low:.3f} to {high:.3f} | {grown} |")


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
