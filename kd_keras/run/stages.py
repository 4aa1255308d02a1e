"""The stages of the main job: each leaves files for the next one and skips what is there."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from typing import Any

import keras
from rich.console import Console

from kd_keras import augment, data, export, models
from kd_keras.export.presets import Quantization
from kd_keras.losses import KLDivergence
from kd_keras.network_files import load_network
from kd_keras.recipes.recipe import Recipe
from kd_keras.run.folder import (
    EXPORT,
    EXPORTED,
    FLOAT32,
    INT8,
    STUDENT,
    STUDENT_ALONE,
    TEACHER,
    RunFolder,
)
from kd_keras.run.saying import say
from kd_keras.run.training import Training
from kd_keras.training.distiller import Distiller
from kd_keras.training.supervised import Supervised
from kd_keras.whole_file import write_whole

# Training images that set the ranges of the int8 file's activations.
_CALIBRATION_EXAMPLES = 500
# A run says how far its files are from the student; only what is broken ends it.
_LEAST_AGREEMENT = 0.9
# Test images to verify on are held in memory, as float32: all of CIFAR-10's are an eighth of this.
_VERIFICATION_BYTES = 2**30
_FILES: tuple[tuple[str, Quantization], ...] = ((FLOAT32, "none"), (INT8, "int8"))


@dataclasses.dataclass(frozen=True)
class Material:
    """What all stages work with.

    Attributes:
        recipe: What to run.
        splits: The data.
        policy: What the networks see instead of the training batches.
    """

    recipe: Recipe
    splits: data.Splits
    policy: Any

    def build(self, architecture: str) -> keras.Model:
        """Return a new network for the data. The same architecture has the same weights."""
        return models.from_name(
            architecture,
            input_shape=self.splits.info.image_shape,
            num_classes=self.splits.info.num_classes,
            weight_decay=self.recipe.weight_decay,
            seed=self.recipe.seed,
        )


def start_devices() -> None:
    """Make TensorFlow open its devices, of which it has much to say, the first time alone."""
    keras.ops.convert_to_numpy(keras.ops.zeros(()))


def prepare(recipe: Recipe, data_dir: str | os.PathLike[str] | None) -> Material:
    """Open the data and try everything that a recipe names, before anything is trained or written.

    Args:
        recipe: What to run.
        data_dir: Where the data lie, as `kd_keras.data.load` takes it.

    Raises:
        ValueError: If the dataset, the policy or an architecture cannot be made.
        ConnectionError: If the data must be downloaded and cannot be.
    """
    splits = data.load(
        recipe.dataset,
        data_dir=data_dir,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        limit=recipe.limit,
        image_size=recipe.image_size,
    )
    material = Material(recipe, splits, augment.named(recipe.policy, seed=recipe.seed))
    for field in ("teacher", "student"):
        try:
            material.build(getattr(recipe, field))
        except ValueError as error:
            raise ValueError(f"The recipe's `{field}` cannot be built. {error}") from error
    return material


def train_networks(material: Material, folder: RunFolder, console: Console) -> None:
    """Train the teacher, the student alone and the student with the teacher, where not yet done.

    The two students differ in the teacher alone: same initial weights, data, views and schedule.
    """
    recipe, policy = material.recipe, material.policy
    supervised = (
        (TEACHER, recipe.teacher, f"Teacher {recipe.teacher}"),
        (STUDENT_ALONE, recipe.student, f"Student {recipe.student} alone"),
    )
    for name, architecture, title in supervised:
        if not folder.is_trained(name):
            network = material.build(architecture)
            training = _training(recipe, name, title, network, Supervised(network, policy))
            training.run(folder, recipe, material.splits, console)
    if not folder.is_trained(STUDENT):
        network = material.build(recipe.student)
        distiller = Distiller(
            # A copy from the file, which stays trainable: the Distiller freezes what it gets.
            load_network(folder.network(TEACHER), TEACHER),
            network,
            KLDivergence(recipe.temperature),
            student_loss_weight=recipe.student_loss_weight,
            augmentation=policy,
        )
        title = f"Student {recipe.student} with teacher {recipe.teacher}"
        training = _training(recipe, STUDENT, title, network, distiller)
        training.run(folder, recipe, material.splits, console)


def _training(
    recipe: Recipe, name: str, title: str, network: keras.Model, model: keras.Model
) -> Training:
    is_teacher = name == TEACHER
    return Training(
        name=name,
        title=title,
        network=network,
        model=model,
        epochs=recipe.teacher_epochs if is_teacher else recipe.epochs,
        learning_rate=recipe.teacher_learning_rate if is_teacher else recipe.learning_rate,
        rate_field="teacher_learning_rate" if is_teacher else "learning_rate",
    )


def export_student(material: Material, folder: RunFolder, console: Console) -> None:
    """Write the distilled student as float32 and int8 files, where not yet done.

    Each file is run in LiteRT on the test split, and `export.json` says how far its answers are
    from those of the Keras student.
    """
    if folder.is_done(EXPORTED):
        return
    splits = material.splits
    with console.status("Exporting to TFLite, float32 and int8, and verifying ..."):
        student = load_network(folder.network(STUDENT), STUDENT)
        at_most = max(1, _VERIFICATION_BYTES // (4 * math.prod(splits.info.image_shape)))
        results = [
            export.to_tflite(
                student,
                folder.path / name,
                quantization,
                # The validation split would do as well; the test split would not.
                representative_data=splits.training().take(splits.steps_per_epoch),
                examples=_CALIBRATION_EXAMPLES,
                verification_data=splits.test,
                verification_examples=min(splits.info.test_examples, at_most),
                min_agreement=_LEAST_AGREEMENT,
                labels=splits.info.class_names,
                name=f"{student.name} on {splits.info.title}",
            )
            for name, quantization in _FILES
        ]
    verified = {result.path.name: _verification(result) for result in results}
    write_whole(folder.path / EXPORT, json.dumps(verified, indent=2) + "\n")
    folder.note(EXPORTED, [FLOAT32, INT8, EXPORT])
    for result in results:
        # Without an agreement there is one class alone, and only one answer.
        same = 100 * (1.0 if result.agreement is None else result.agreement)
        say(
            console,
            f"{result.path.name}: on {result.examples} test images {same:.2f} % the same answer "
            f"as the Keras student, logits at most {result.largest_difference:.2g} apart",
        )


def _verification(result: export.ExportResult) -> dict[str, Any]:
    return {
        "test_images": result.examples,
        "agreement": result.agreement,
        "largest_difference": result.largest_difference,
        "mean_difference": result.mean_difference,
        "float_operators": list(result.float_operators),
        "bytes": result.bytes,
        "sha256": result.sha256,
    }
