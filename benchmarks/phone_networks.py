"""What each preset makes of networks that people ship to phones.

    python benchmarks/phone_networks.py [--help]

Each network learns the embedded digits for a few epochs, which is enough for answers that are no
close calls, and is then exported under every preset, and once more as an int8 file after an epoch
with the rounding in it. Each network and each file leaves its figures under `--output`: the same
command goes on where it was stopped, and prints the table of all that is there.
"""

from __future__ import annotations

import dataclasses
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tyro
from keras import layers as L

import kd_keras
from kd_keras import export
from kd_keras.export.presets import Quantization
from kd_keras.report.environment import environment
from kd_keras.whole_file import write_whole

CLASSES = 10
AWARE = "int8, trained"
PRESETS = (*get_args(Quantization), AWARE)


@dataclasses.dataclass(frozen=True)
class Options:
    """What each preset makes of networks that people ship to phones.

    Attributes:
        networks: Which networks; all by default.
        output: Folder for networks, files and figures.
        latency: Time the files of each network in turns. Nothing else should run.
    """

    networks: tuple[str, ...] = ()
    output: Path = Path("saved_models/phone_networks")
    latency: bool = False


def small_picture() -> tuple[keras.KerasTensor, keras.KerasTensor]:
    image = keras.Input((8, 8, 1), name="image")
    return image, L.Rescaling(1 / 127.5, -1.0)(image)


def mobilenet_v3() -> keras.Model:
    return keras.applications.MobileNetV3Small(
        (32, 32, 3), alpha=0.5, weights=None, classes=CLASSES, classifier_activation=None
    )


def efficientnet_v2() -> keras.Model:
    return keras.applications.EfficientNetV2B0(
        input_shape=(32, 32, 3), weights=None, classes=CLASSES, classifier_activation=None
    )


def resnet() -> keras.Model:
    return kd_keras.models.resnet((8, 8, 1), CLASSES, depth=8, width=16)


def ds_cnn() -> keras.Model:
    """Zhang et al., "Hello Edge", arXiv:1711.07128: a convolution and separable ones behind it."""
    image, x = small_picture()
    x = L.ReLU()(L.BatchNormalization()(L.Conv2D(32, 3, padding="same", use_bias=False)(x)))
    for _ in range(3):
        x = L.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        x = L.ReLU()(L.BatchNormalization()(x))
        x = L.ReLU()(L.BatchNormalization()(L.Conv2D(32, 1, use_bias=False)(x)))
    return keras.Model(image, L.Dense(CLASSES)(L.GlobalAveragePooling2D()(x)), name="ds_cnn")


def u_net() -> keras.Model:
    """Says of each pixel which digit it belongs to, or that it is paper."""
    image, x = small_picture()
    fine = L.Conv2D(16, 3, padding="same", activation="relu")(x)
    x = L.Conv2D(32, 3, padding="same", activation="silu")(L.MaxPooling2D()(fine))
    middle = L.Conv2D(32, 3, padding="same", activation="relu")(x)
    x = L.Conv2D(32, 3, padding="same", activation="relu")(L.MaxPooling2D()(middle))
    x = L.Concatenate()([L.UpSampling2D()(x), middle])
    x = L.Conv2D(32, 3, padding="same", activation="relu")(x)
    x = L.Conv2DTranspose(16, 2, strides=2, activation="relu")(x)
    x = L.Concatenate()([x, fine])
    return keras.Model(image, L.Conv2D(CLASSES + 1, 1)(x), name="u_net")


def vit() -> keras.Model:
    image, x = small_picture()
    x = L.Reshape((16, 32))(L.Conv2D(32, 2, strides=2)(x))
    x = x + L.Embedding(16, 32)(keras.ops.arange(16))
    for _ in range(2):
        h = L.LayerNormalization()(x)
        x = x + L.MultiHeadAttention(4, 8)(h, h)
        h = L.Dense(64, activation="gelu")(L.LayerNormalization()(x))
        x = x + L.Dense(32)(h)
    x = L.GlobalAveragePooling1D()(L.LayerNormalization()(x))
    return keras.Model(image, L.Dense(CLASSES)(x), name="vit")


def gru() -> keras.Model:
    """Reads the picture row by row."""
    image, x = small_picture()
    return keras.Model(image, L.Dense(CLASSES)(L.GRU(32)(L.Reshape((8, 8))(x))), name="gru")


@dataclasses.dataclass(frozen=True)
class Network:
    """A network and how long it learns."""

    build: Callable[[], keras.Model]
    epochs: int


NETWORKS = {
    "DS-CNN": Network(ds_cnn, 20),
    "ResNet-8": Network(resnet, 10),
    "U-Net": Network(u_net, 20),
    "ViT": Network(vit, 25),
    "GRU": Network(gru, 25),
    "MobileNetV3Small": Network(mobilenet_v3, 12),
    "EfficientNetV2B0": Network(efficientnet_v2, 6),
}


def pictures(model: keras.Model, split: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the digits as a network takes them, and their labels as it gives them."""
    # At once: the training split comes in another order each time.
    parts = [(images.numpy(), labels.numpy()) for images, labels in split]
    x, y = (np.concatenate(each) for each in zip(*parts, strict=True))
    x = x.astype("float32")
    if len(model.output_shape) == 4:
        return x, np.where(x[..., 0] > 100, y[:, None, None], CLASSES)
    factor, channels = model.input_shape[1] // 8, model.input_shape[-1]
    return x.repeat(factor, 1).repeat(factor, 2).repeat(channels, 3), y


def learn(model: keras.Model, x: np.ndarray, y: np.ndarray, epochs: int, rate: float) -> None:
    steps = epochs * -(-len(x) // 64)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)


def trained(name: str, folder: Path) -> keras.Model:
    """Return the network, from its file where there is one."""
    file = folder / "network.keras"
    if file.exists():
        return keras.models.load_model(file, compile=False)
    keras.utils.set_random_seed(0)
    model = NETWORKS[name].build()
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9  # a few hundred steps
    data = kd_keras.data.load("digits", batch_size=64)
    learn(model, *pictures(model, data.train), NETWORKS[name].epochs, 1e-3)
    beside = folder / "learning.keras"
    model.save(beside)
    beside.replace(file)
    return model


def measured(model: keras.Model, preset: str, file: Path) -> dict[str, Any]:
    """Export a network and return the figures of the file."""
    data = kd_keras.data.load("digits", batch_size=64)
    x, y = pictures(model, data.train)
    test, labels = pictures(model, data.test)
    student, said = model, []
    if preset == AWARE:
        with warnings.catch_warnings(record=True):
            student = kd_keras.quantize.quantization_aware(model, x)
        learn(student, x, y, 1, 1e-4)
    found: dict[str, Any] = {"refused": False}
    for least in (0.98, None):
        try:
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                result = export.to_tflite(
                    student,
                    file,
                    "int8" if preset == AWARE else preset,
                    representative_data=x[:500],
                    verification_data=test,
                    min_agreement=least,
                )
            break
        except export.DisagreementError:
            found["refused"] = True
    answers = export.LiteModel(file).predict(test).argmax(-1)
    return found | {
        "bytes": result.bytes,
        "keras": float((model.predict(test, verbose=0).argmax(-1) == labels).mean()),
        "accuracy": float((answers == labels).mean()),
        "agreement": result.agreement,
        "compiled": not any("CompiledModel" in str(each.message) for each in said),
        "kept_float": len(result.kept_float),
        "float_operators": list(result.float_operators) if "int" in preset else [],
    }


def table(folder: Path, names: tuple[str, ...]) -> str:
    """Return the Markdown table of all figures that are there."""
    ratios = any((folder / name / "latency.json").exists() for name in names)
    heads = ["network", "preset", "bytes", "accuracy", "same answer as Keras", "CompiledModel"]
    heads += ["in float32", *(["latency / float32"] if ratios else [])]
    lines = [heads, ["---", "---", "---:", "---:", "---:", "---", "---"] + ["---:"] * ratios]
    for name in names:
        timed = folder / name / "latency.json"
        times = json.loads(timed.read_text()) if timed.exists() else {}
        for preset in PRESETS:
            file = folder / name / f"{preset}.json"
            if not file.exists():
                continue
            each = json.loads(file.read_text())
            if "error" in each:
                lines.append([name, preset, f"refused: {each['error']}"] + [""] * (len(heads) - 3))
                continue
            front = f"the first {each['kept_float']}" if each["kept_float"] else ""
            inside = f"{len(each['float_operators'])} kinds" if each["float_operators"] else ""
            row = [
                name if preset == "none" else "",
                preset.replace("none", "none (float32)"),
                f"{each['bytes']:,}",
                f"{100 * each['accuracy']:.2f} %",
                f"{100 * each['agreement']:.2f} %{' (refused)' if each['refused'] else ''}",
                "same" if each["compiled"] else "other",
                front or inside or "nothing",
            ]
            lines.append(row + ([f"{times[preset]:.3f}" if preset in times else ""] * ratios))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Make what is missing, and print the table."""
    options = tyro.cli(Options)
    names = options.networks or tuple(NETWORKS)
    for name in names:
        folder = options.output / name
        folder.mkdir(parents=True, exist_ok=True)
        model = None
        for preset in PRESETS:
            figures, file = folder / f"{preset}.json", folder / f"{preset}.tflite"
            if figures.exists():
                continue
            model = model or trained(name, folder)
            try:
                found = measured(model, preset, file)
            except ValueError as error:
                found = {"error": str(error).partition(". ")[0]}
            write_whole(figures, json.dumps(found))
            print(name, preset, found, flush=True)
        files = {preset: folder / f"{preset}.tflite" for preset in PRESETS}
        files = {preset: file for preset, file in files.items() if file.exists()}
        if options.latency and not (folder / "latency.json").exists():
            standings = export.race(list(files.values()))
            times = {p: each.ratio.median for p, each in zip(files, standings, strict=True)}
            write_whole(folder / "latency.json", json.dumps(times))
    here = environment()
    print(f"\n{here['cpu']}, {here['cpu cores']} cores, LiteRT {here['ai-edge-litert']}\n")
    print(table(options.output, names))


if __name__ == "__main__":
    main()
