"""What int8 costs a student, after training and with quantisation-aware distillation.

    python benchmarks/quantization.py RUN [RUN ...] [--help]

A RUN is a folder that `kd-keras distill` left, with `recipe.json`, `teacher.keras` and
`student.keras`. Each gives a row of the printed Markdown table. A row is made step by step, and
every step leaves a file under `--output`: the same command goes on where it was stopped, and prints
the table again when all is done.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
import tyro

import kd_keras
from kd_keras import Supervised
from kd_keras.export.fake_quantization import output_steps
from kd_keras.recipes import Recipe
from kd_keras.whole_file import write_whole, written_beside

_CALIBRATION_EXAMPLES = 500


@dataclasses.dataclass(frozen=True)
class Options:
    """What int8 costs a student, after training and with quantisation-aware distillation.

    Attributes:
        runs: Folders that `kd-keras distill` left.
        output: Folder for networks, files and figures; each row has a folder of its own there.
        data_dir: Where TensorFlow Datasets keeps its data.
        student: Train this architecture with the run's teacher and recipe, and take it instead of
            the run's student.
        epochs: Epochs of fine-tuning.
        learning_rate: Where Adam's learning rate starts; it falls to zero along half a cosine.
        test_images: How many test images to measure on, the same for every figure; 0 for all.
        limit: Train on the first so many examples; by default as many as the recipe says.
        scatter: Make int8 hard for a ResNet: multiply the channels between the two convolutions of
            each block by random factors of 2^-n to 2^n, and divide the second kernel by them. ReLU
            passes factors on, so the float32 network computes the same.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    output: Path = Path("saved_models/quantization")
    data_dir: Path | None = None
    student: str | None = None
    epochs: int = 5
    learning_rate: float = 3e-4
    test_images: int = 0
    limit: int | None = None
    scatter: float = 0.0


class Row:
    """One run: its data and networks, and the figures that are already there."""

    def __init__(self, run: Path, options: Options):
        recipe = Recipe.from_json((run / "recipe.json").read_text())
        self.recipe = dataclasses.replace(
            recipe,
            student=options.student or recipe.student,
            limit=options.limit or recipe.limit,
        )
        self.run, self.options = run, options
        self.folder = options.output / (
            f"{run.name}-{self.recipe.student}-{options.epochs}-{options.learning_rate:g}"
            f"{f'-scatter{options.scatter:g}' if options.scatter else ''}"
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        self.splits = kd_keras.data.load(
            recipe.dataset,
            data_dir=options.data_dir,
            batch_size=recipe.batch_size,
            seed=recipe.seed,
            limit=self.recipe.limit,
            image_size=recipe.image_size,
        )
        self.images = next(iter(self.splits.training().unbatch().batch(_CALIBRATION_EXAMPLES)))[0]
        count = options.test_images or self.splits.info.test_examples
        parts = [
            (x.numpy(), y.numpy()) for x, y in self.splits.test.unbatch().take(count).batch(500)
        ]
        self.test_x = np.concatenate([x for x, _ in parts])
        self.test_y = np.concatenate([y for _, y in parts])

    def teacher(self) -> keras.Model:
        return keras.models.load_model(self.run / "teacher.keras", compile=False)

    def figures(self) -> dict[str, Any]:
        """Return the row's figures, each measured where it is not yet there."""
        student = self._student()
        found: dict[str, Any] = {"test_images": len(self.test_y)}
        found["float32"] = self._measured("float32", lambda: self._keras_accuracy(student))
        found["ptq"] = self._measured("ptq", lambda: self._file("ptq", student, self.images))
        variants = {
            "qat_distilled": lambda: self._tuned(self._aware(student), self.teacher()),
            "qat_alone": lambda: self._tuned(self._aware(student), None),
            "qat_untuned": lambda: self._aware(student),
        }
        for name, make in variants.items():
            found[name] = self._measured(
                name, lambda n=name, m=make: self._file(n, self._network(n, m), None)
            )
        found["float32_tuned"] = self._measured(
            "float32_tuned",
            lambda: self._keras_accuracy(
                self._network("float32_tuned", lambda: self._tuned(self._student(), self.teacher()))
            ),
        )
        return found

    def _student(self) -> keras.Model:
        return self._network("student", self._float_student)

    def _network(self, name: str, make: Callable[[], keras.Model]) -> keras.Model:
        path = self.folder / f"{name}.keras"
        if not path.exists():
            print(f"{self.folder.name}: {name} ...", flush=True)
            network = make()
            with written_beside(path) as beside:
                network.save(beside)
        return keras.models.load_model(path, compile=False)

    def _measured(self, name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        path = self.folder / f"{name}-{len(self.test_y)}.json"
        if not path.exists():
            write_whole(path, json.dumps(measure(), indent=2) + "\n")
        found = json.loads(path.read_text())
        print(f"{self.folder.name}: {name} {found}", flush=True)
        return found

    def _float_student(self) -> keras.Model:
        if self.options.student is None:
            student = keras.models.load_model(self.run / "student.keras", compile=False)
            if self.options.scatter:
                scatter(student, self.options.scatter)
            return student
        student = kd_keras.models.from_name(
            self.recipe.student,
            input_shape=self.splits.info.image_shape,
            num_classes=self.splits.info.num_classes,
            weight_decay=self.recipe.weight_decay,
            seed=self.recipe.seed,
        )
        epochs = self.recipe.epochs
        schedule = keras.optimizers.schedules.CosineDecay(
            self.recipe.learning_rate, epochs * self.splits.steps_per_epoch
        )
        optimizer = keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True)
        return self._fit(student, self.teacher(), optimizer, epochs)

    def _aware(self, student: keras.Model) -> keras.Model:
        return kd_keras.quantize.quantization_aware(student, self.images)

    def _tuned(self, network: keras.Model, teacher: keras.Model | None) -> keras.Model:
        epochs = self.options.epochs
        schedule = keras.optimizers.schedules.CosineDecay(
            self.options.learning_rate, epochs * self.splits.steps_per_epoch
        )
        return self._fit(network, teacher, keras.optimizers.Adam(schedule), epochs)

    def _fit(
        self, network: keras.Model, teacher: keras.Model | None, optimizer: Any, epochs: int
    ) -> keras.Model:
        policy = kd_keras.augment.named(self.recipe.policy, seed=self.recipe.seed)
        model: Any
        if teacher is None:
            model = Supervised(network, policy)
        else:
            model = kd_keras.Distiller(
                teacher,
                network,
                kd_keras.losses.KLDivergence(self.recipe.temperature),
                student_loss_weight=self.recipe.student_loss_weight,
                augmentation=policy,
            )
        model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(
            self.splits.training(),
            steps_per_epoch=self.splits.steps_per_epoch,
            epochs=epochs,
            shuffle=False,
            verbose=2,
        )
        return network

    def _keras_accuracy(self, network: keras.Model) -> dict[str, Any]:
        return {"accuracy": self._accuracy(self._logits(network))}

    def _accuracy(self, logits: np.ndarray) -> float:
        return float(np.mean(logits.argmax(-1) == self.test_y))

    def _logits(self, network: keras.Model) -> np.ndarray:
        function = tf.function(lambda x: network(x, training=False))
        parts = np.array_split(self.test_x, math.ceil(len(self.test_x) / 250))
        return np.concatenate([function(part.astype("float32")).numpy() for part in parts])

    def _file(self, name: str, network: keras.Model, images: Any) -> dict[str, Any]:
        path = self.folder / f"{name}.tflite"
        try:
            result = kd_keras.export.to_tflite(network, path, "int8", images)
        except ValueError as error:
            # A result too: the file is further from the network than the export allows.
            if "trained ranges does" not in str(error):
                raise
            return {"refused": str(error)}
        model = kd_keras.export.LiteModel(path)
        logits, expected = model.predict(self.test_x), self._logits(network)
        step = output_steps(model)["logits"]
        return {
            "accuracy": self._accuracy(logits),
            "agreement": float(np.mean(logits.argmax(-1) == expected.argmax(-1))),
            "mean_steps": float(np.abs(logits - expected).mean() / step),
            "largest_steps": float(np.abs(logits - expected).max() / step),
            "bytes": result.bytes,
            "float_operators": list(result.float_operators),
        }


def scatter(resnet: keras.Model, octaves: float) -> None:
    """Give the channels between the convolutions of each block different scales."""
    random = np.random.default_rng(0)
    for norm in resnet.layers:
        if norm.name.endswith("_conv1_bn"):
            second = resnet.get_layer(norm.name.replace("_conv1_bn", "_conv2"))
            factors = 2.0 ** random.uniform(-octaves, octaves, norm.gamma.shape[0])
            norm.gamma.assign(norm.gamma * factors)
            norm.beta.assign(norm.beta * factors)
            second.kernel.assign(second.kernel / factors[None, None, :, None])


def table(rows: list[tuple[str, dict[str, Any]]]) -> str:
    """Return the Markdown table: accuracies in percent on the same test images."""
    lines = [
        "| student | images | float32 | int8 after training | int8, QAT with teacher | int8, QAT "
        "alone | float32, tuned alike | file = Keras model | steps mean, most | bytes |",
        "|---|" + "---:|" * 9,
    ]
    for name, row in rows:
        base = 100 * row["float32"]["accuracy"]

        def cell(part: str, row: dict[str, Any] = row, base: float = base) -> str:
            if "refused" in row[part]:
                return "refused"
            accuracy = 100 * row[part]["accuracy"]
            return f"{accuracy:.2f} ({accuracy - base:+.2f})"

        file = row["qat_distilled"]
        compared = [""] * 3
        if "refused" not in file:
            compared = [
                f"{100 * file['agreement']:.2f} %",
                f"{file['mean_steps']:.2f}, {file['largest_steps']:.1f}",
                f"{file['bytes']:,}",
            ]
        cells = [
            name,
            str(row["test_images"]),
            f"{base:.2f}",
            *(cell(part) for part in ("ptq", "qat_distilled", "qat_alone", "float32_tuned")),
            *compared,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(options: Options) -> None:
    rows = []
    for run in options.runs:
        row = Row(run, options)
        rows.append((row.folder.name, row.figures()))
        print(table(rows), flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
