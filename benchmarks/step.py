"""What one Distiller step costs, against the floor, `keras.distillation` and a PyTorch loop.

    python benchmarks/step.py [--help]

The row of PyTorch is there for two ResNets where it is installed: `pip install "kd-keras[peers]"`.

Every contender takes one step in turn, round after round, and each ratio is formed within a round:
the machine's speed may drift between rounds, not within one. Printed are the median ratio and its
quartiles.
"""

from __future__ import annotations

import importlib.util
import os
import re
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
import tyro
from rich.console import Console

import kd_keras
from kd_keras.report.table import Table, show
from kd_keras.teachers.inference import TeacherInference
from kd_keras.training.taps import TappedModel

FEATURE_TAP = "features"


def crossentropy() -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def network(name: str, seed: int) -> keras.Model:
    return kd_keras.models.from_name(name, input_shape=(32, 32, 3), num_classes=10, seed=seed)


def batches(size: int) -> tuple[tf.Tensor, tf.Tensor]:
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (size, 32, 32, 3)).astype("uint8")
    return tf.constant(x), tf.constant(random.integers(0, 10, size))


def train_step(model: keras.Model, x: tf.Tensor, y: tf.Tensor) -> Callable[[], object]:
    """Return one step of `fit`: the very function that Keras loops over."""
    iterator = iter(tf.data.Dataset.from_tensors((x, y)).repeat())
    model.make_train_function()
    return lambda: model.train_function(iterator)


def contenders(teacher_name: str, student_name: str, batch: int) -> dict[str, Callable]:
    x, y = batches(batch)
    teacher = network(teacher_name, 0)
    # Batch statistics as training leaves them: with those of a new network, whose mean is 0, a
    # graph of constants would have less to add than it has in earnest.
    teacher(x, training=True)
    feature = keras.distillation.FeatureDistillation("mse", FEATURE_TAP, FEATURE_TAP)
    keras_kl = keras.distillation.LogitsDistillation(4.0, loss=keras.losses.KLDivergence())
    policy = kd_keras.augment.named("standard", seed=0)

    plain = network(student_name, 1)
    plain.compile(keras.optimizers.SGD(0.01), crossentropy(), metrics=["accuracy"])
    call = TappedModel(teacher, (), "teacher")

    def answer(mode: str) -> Callable:
        inference = TeacherInference(call, teacher, mode)
        compiled = tf.function(lambda images: inference(images)[0])
        compiled(x)
        if inference.is_frozen != (mode != "keras"):
            raise SystemExit(f"teacher_inference={mode!r}: the graph of constants was not used")
        return lambda: compiled(x)

    def distiller(kind: type, losses: object, **kwargs: object) -> Callable:
        made = kind(teacher, network(student_name, 1), losses, **kwargs)
        made.compile(keras.optimizers.SGD(0.01), crossentropy(), metrics=["accuracy"])
        return train_step(made, x, y)

    peers = {}
    is_known = all(re.fullmatch(r"resnet\d+", name) for name in (teacher_name, student_name))
    if importlib.util.find_spec("torch") and is_known:
        peers["PyTorch, logits"] = pytorch_step(teacher, plain, x, y)
    ours, theirs = kd_keras.Distiller, keras.distillation.Distiller
    kl = kd_keras.losses.KLDivergence(4.0)
    return {
        "teacher forward": answer("keras"),
        "teacher forward, auto": answer("auto"),
        "teacher forward, bfloat16": answer("bfloat16"),
        "plain student step": train_step(plain, x, y),
        "ours, logits": distiller(ours, kl),
        "ours, logits, bfloat16": distiller(ours, kl, teacher_inference="bfloat16"),
        "ours, logits, Keras teacher": distiller(ours, kl, teacher_inference="keras"),
        "keras, logits": distiller(theirs, keras_kl),
        "ours, logits and feature": distiller(ours, [kl, feature]),
        "keras, logits and feature": distiller(theirs, [keras_kl, feature]),
        "ours, logits, default policy": distiller(ours, kl, augmentation=policy),
        **peers,
    }


def pytorch_step(
    teacher: keras.Model, student: keras.Model, x: tf.Tensor, y: tf.Tensor
) -> Callable[[], object]:
    """Return the step of a PyTorch loop on networks of the same sizes."""
    import pytorch_peer

    networks = [pytorch_peer.resnet(int(m.name.removeprefix("resnet"))) for m in (teacher, student)]
    for ours, theirs in zip((teacher, student), networks, strict=True):
        trained = sum(int(np.prod(weight.shape)) for weight in ours.trainable_weights)
        if trained != pytorch_peer.parameters(theirs):
            raise SystemExit(f"{ours.name} is not the network that PyTorch trains")
    return pytorch_peer.step(*networks, x.numpy(), y.numpy(), 4.0)


def measure(
    functions: dict[str, Callable], rounds: int, warmup: int, clock: Callable[[], float]
) -> dict[str, np.ndarray]:
    times: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(warmup + rounds):
        for name, function in functions.items():
            start = clock()
            for leaf in keras.tree.flatten(function()):
                np.asarray(leaf)  # wait for the result
            if number >= warmup:
                times[name].append(clock() - start)
    return {name: np.array(values) for name, values in times.items()}


def report(times: dict[str, np.ndarray], console: Console) -> None:
    floor = times["teacher forward"] + times["plain student step"]
    augmented = times["ours, logits, default policy"]
    ratios = [
        (
            "teacher forward: graph of constants / Keras",
            times["teacher forward, auto"] / times["teacher forward"],
            "<= 0.75",
        ),
        (
            "the same in bfloat16",
            times["teacher forward, bfloat16"] / times["teacher forward"],
            "<= 0.70",
        ),
        (
            "Distiller step / (teacher forward + student step)",
            times["ours, logits"] / floor,
            "<= 0.92",
        ),
        (
            "the same with teacher_inference='bfloat16'",
            times["ours, logits, bfloat16"] / floor,
            "<= 0.88",
        ),
        (
            "the same with teacher_inference='keras'",
            times["ours, logits, Keras teacher"] / floor,
            "",
        ),
        (
            "keras.distillation / ours, logits",
            times["keras, logits"] / times["ours, logits"],
            ">= 1.10",
        ),
        (
            "keras.distillation / ours, with a feature loss",
            times["keras, logits and feature"] / times["ours, logits and feature"],
            ">= 1.60",
        ),
        *(
            [
                (
                    "PyTorch loop with channels_last / ours, logits",
                    times["PyTorch, logits"] / times["ours, logits"],
                    ">= 1.00",
                )
            ]
            if "PyTorch, logits" in times
            else []
        ),
        (
            "share of the step that the default policy costs",
            (augmented - times["ours, logits"]) / augmented,
            "",
        ),
    ]
    show_all(times, ratios, console)


def show_all(
    times: dict[str, np.ndarray], ratios: list[tuple[str, np.ndarray, str]], console: Console
) -> None:
    """Print medians and quartiles of times, and of ratios with the bar of each."""
    rows = [(name, *quartiles(values * 1000, 1)) for name, values in times.items()]
    show(Table(("step", "median", "quartiles"), rows, title="milliseconds"), console)
    rows = [(name, *quartiles(values, 3), bar) for name, values, bar in ratios]
    columns = ("ratio", "median", "quartiles", "bar")
    show(Table(columns, rows, title="ratios within a round"), console)


def quartiles(values: np.ndarray, digits: int) -> tuple[str, str]:
    """Return the median, and the quartiles around it."""
    low, mid, high = (f"{v:.{digits}f}" for v in np.percentile(values, [25, 50, 75]))
    return mid, f"{low} to {high}"


def main(
    rounds: int = 15,
    warmup: int = 3,
    batch: int = 128,
    teacher: str = "resnet56",
    student: str = "resnet20",
    processor_time: bool = False,
) -> None:
    """Print what one Distiller step costs, against the floor and against keras.distillation.

    Args:
        rounds: Rounds that are counted.
        warmup: Rounds before those.
        batch: Examples in a batch.
        teacher: Architecture, as kd_keras.models.from_name takes it.
        student: Architecture, as kd_keras.models.from_name takes it.
        processor_time: Count the seconds of processor that a step takes, not those on the wall:
            for a machine that does other work besides.
    """
    # Each contender has a train function of its own; TensorFlow takes them for one that retraces.
    tf.get_logger().setLevel("ERROR")
    functions = contenders(teacher, student, batch)
    clock = time.process_time if processor_time else time.perf_counter
    report(measure(functions, rounds, warmup, clock), Console(width=100))


if __name__ == "__main__":
    tyro.cli(main)
