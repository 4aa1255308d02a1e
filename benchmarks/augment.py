"""What each layer and each named policy costs, in the graph.

    python benchmarks/augment.py [--help]

All contenders take one batch in turn, round after round, and each share is formed within a round:
the machine's speed may drift between rounds, not within one. Printed are medians and quartiles.
Every layer runs in a `Policy` of its own, so each row holds a policy's own work (checking and
clipping the range, rounding to bytes), which the row "nothing" shows alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras_cv
import numpy as np
import tensorflow as tf
import tyro
from rich.console import Console
from rich.table import Table

import kd_keras
from kd_keras import augment

FORWARD = "forward"
NOTHING = "nothing"


def layers() -> dict[str, list]:
    cv, whole = keras_cv.layers, (0, 255)
    return {
        NOTHING: [lambda images: images],
        "RandomFlip": [augment.RandomFlip("horizontal")],
        "RandomFlip (keras-cv)": [cv.RandomFlip("horizontal")],
        "RandomShift": [augment.RandomShift(0.1, 0.1)],
        "RandomTranslation (keras-cv)": [cv.RandomTranslation(0.1, 0.1)],
        "RandomRotation (keras-cv)": [cv.RandomRotation(0.05)],
        "RandomZoom (keras-cv)": [cv.RandomZoom((-0.1, 0.1), (-0.1, 0.1))],
        "RandomShear (keras-cv)": [cv.RandomShear(0.1, 0.1)],
        "RandomCrop (keras-cv)": [cv.RandomCrop(28, 28)],
        "RandomResizedCrop": [augment.RandomResizedCrop()],
        "RandomCutout (keras-cv)": [cv.RandomCutout(0.5, 0.5)],
        "GridMask": [augment.GridMask()],
        "RandomBrightness (keras-cv)": [cv.RandomBrightness(0.2)],
        "RandomContrast (keras-cv)": [cv.RandomContrast(whole, 0.3)],
        "RandomSaturation (keras-cv)": [cv.RandomSaturation((0.4, 0.6))],
        "RandomHue (keras-cv)": [cv.RandomHue(0.05, whole)],
        "GaussianBlur": [augment.GaussianBlur((0.0, 1.0))],
        "RandomGaussianBlur (keras-cv)": [cv.RandomGaussianBlur(9, (0.01, 1.0))],
        "Sharpness": [augment.Sharpness()],
        "JpegCompression": [augment.JpegCompression()],
        "Posterize": [augment.Posterize()],
        "Equalize": [augment.Equalize(1.0)],
        "Equalization (keras-cv)": [cv.Equalization(whole)],
        "GaussianNoise": [augment.GaussianNoise()],
        "SpeckleNoise": [augment.SpeckleNoise()],
        "SaltAndPepper": [augment.SaltAndPepper()],
        "MixUp": [augment.MixUp()],
        "CutMix": [augment.CutMix()],
        "FMix": [augment.FMix()],
    }


def contenders(network: str, batch: int) -> dict[str, Callable]:
    random = np.random.default_rng(0)
    images = tf.constant(random.integers(0, 256, (batch, 32, 32, 3)).astype("uint8"))
    labels = tf.constant(random.integers(0, 10, batch))
    model = kd_keras.models.from_name(network, input_shape=(32, 32, 3), num_classes=10, seed=0)
    forward = tf.function(lambda: model(images, training=False))

    def timed(policy: augment.Policy) -> Callable:
        graph = tf.function(
            lambda step: policy({"images": images, "labels": labels}, step=step)["images"]
        )
        steps = iter(range(10**9))
        return lambda: graph(tf.constant(next(steps), tf.int64))

    functions: dict[str, Callable] = {FORWARD: forward}
    for name, parts in layers().items():
        functions[name] = timed(augment.Policy(parts))
    for name in augment.policy_names():
        functions[f"policy {name}"] = timed(augment.named(name))
    return functions


def measure(functions: dict[str, Callable], rounds: int, warmup: int) -> dict[str, np.ndarray]:
    times: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(warmup + rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function().numpy()  # wait for the result
            if number >= warmup:
                times[name].append((time.perf_counter() - start) * 1000)
    return {name: np.array(values) for name, values in times.items()}


def report(times: dict[str, np.ndarray], network: str, console: Console) -> None:
    table = Table(title="milliseconds a batch, in the graph")
    for column in ("contender", "median", "quartiles", f"share of the forward of {network}"):
        table.add_column(column, justify="left" if column == "contender" else "right")
    for name, values in times.items():
        low, mid, high = np.percentile(values, [25, 50, 75])
        share = np.median(values / times[FORWARD])
        table.add_row(name, f"{mid:.2f}", f"{low:.2f} to {high:.2f}", f"{share:.3f}")
        if name == FORWARD or name == list(layers())[-1]:
            table.add_section()
    console.print(table)


def main(rounds: int = 15, warmup: int = 3, batch: int = 128, network: str = "resnet20") -> None:
    """Print what each layer and each named policy costs on 32x32 images, against a forward pass.

    Args:
        rounds: Rounds that are counted.
        warmup: Rounds before those.
        batch: Examples in a batch.
        network: Architecture of the forward pass, as kd_keras.models.from_name takes it.
    """
    # Each contender has a function of its own; TensorFlow takes them for one that retraces.
    tf.get_logger().setLevel("ERROR")
    report(measure(contenders(network, batch), rounds, warmup), network, Console(width=110))


if __name__ == "__main__":
    tyro.cli(main)
