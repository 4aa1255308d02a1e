"""The stages of the main job: each leaves files for the next one and skips what is there."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
from rich.console import Console

from kd_keras import augment, data, export
from kd_keras.experiments import networks
from kd_keras.experiments.calibrating import calibrated, refuse_dense
from kd_keras.experiments.data_identity import OWN_NETWORKS
from kd_keras.experiments.folder import EXPORT, EXPORTED, FLOAT32, INT8, RunFolder
from kd_keras.experiments.own_files import own_files
from kd_keras.experiments.taking import Scores, is_taken_as_it_is, may_be_taken, teacher_scores
from kd_keras.experiments.training import Training, save_network
from kd_keras.experiments.trying import refuse_frozen, try_step
from kd_keras.export.presets import Quantization
from kd_keras.losses.contract.base import LogitLoss
from kd_keras.network_files import load_network
from kd_keras.recipes.recipe import FEEDBACK, UNIFORM, Recipe
from kd_keras.recipes.stage import (
    STUDENT,
    STUDENT_ALONE,
    Stage,
    function_of,
    network_title,
)
from kd_keras.report.saying import say
from kd_keras.tasks import Task, task_of
from kd_keras.teachers import Ensemble
from kd_keras.training.distiller import Distiller
from kd_keras.training.supervised import Supervised
from kd_keras.whole_file import write_whole

# Training images that set the ranges of the int8 file's activations.
_CALIBRATION_EXAMPLES = 500
# Below it a part stays in float32, or the run says so and keeps the file. Lower than for an export:
# the answers of a short training's student are close calls.
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
        own_files: Digests of the user's own files of networks, by the field that names them.
    """

    recipe: Recipe
    splits: data.Splits
    own_files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    _scores: dict[str, Scores] = dataclasses.field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def identity(self) -> dict[str, Any]:
        """Return what tells data and the user's own networks from others, as JSON knows it."""
        own = {OWN_NETWORKS: dict(self.own_files)} if self.own_files else {}
        return {**self.splits.info.identity(), **own}

    def scores(self, stage: Stage) -> Scores:
        """How a teacher of the user's own does on the validation split, as it is; asked once."""
        if stage.name not in self._scores:
            self._scores[stage.name] = teacher_scores(self, stage)
        return self._scores[stage.name]

    def build(self, stage: Stage) -> keras.Model:
        """Return the network that a stage begins with. The same stage has the same weights."""
        recipe = dataclasses.replace(self.recipe, seed=self.recipe.seed + stage.seed)
        return networks.build(stage, recipe, self.splits.info)

    @property
    def task(self) -> Task:
        """What is learnt from the data."""
        return task_of(self.splits.info)

    def views(self) -> Any:
        """Return the policy whose views the students see, or one of theirs."""
        return self.views_of(self.recipe.stage(STUDENT_ALONE))

    def views_of(self, stage: Stage) -> Any:
        """Return what the network of a stage sees instead of the training batches.

        Whoever is not taught cannot ask a teacher: it sees views of the same transforms.

        Raises:
            ValueError: If the stage's policy is of other data.
        """
        recipe, task = self.recipe, self.task
        if stage.policy in (FEEDBACK, UNIFORM) and task.name == "image":
            rate = 1.0 if stage.policy == FEEDBACK else 0.0
            follows = augment.Feedback(seed=recipe.seed, rate=rate)
            return follows if stage.is_taught else follows.policy
        if stage.policy not in task.policies:
            raise ValueError(
                f"`policy` must be one for data of the kind {task.name!r}: "
                f"{', '.join(map(repr, task.policies))}. Received: policy={stage.policy!r} for "
                f"{self.splits.info.title!r}."
            )
        policy = task.policy(stage.policy, recipe.seed)
        return augment.Pick(policy) if recipe.pick and stage.is_taught else policy


def start_devices() -> None:
    """Make TensorFlow open its devices, of which it has much to say, the first time alone."""
    keras.ops.convert_to_numpy(keras.ops.zeros(()))


def prepare(
    recipe: Recipe,
    data_dir: str | os.PathLike[str] | None,
    taught_by: Sequence[Recipe] | None = None,
) -> Material:
    """Open the data and try everything that a recipe names, before anything is trained or written.

    Args:
        recipe: What to run.
        data_dir: Where the data lie, as `kd_keras.data.load` takes it.
        taught_by: Recipes of the same data and networks, whose ways to teach the student are
            tried; by default `recipe` itself.

    Raises:
        ValueError: If the dataset, a loss, the policy or a network cannot be made, or a network
            that is to be trained cannot be.
        ConnectionError: If the data must be downloaded and cannot be.
    """
    digests = own_files(recipe)
    splits = data.load(
        recipe.dataset,
        data_dir=data_dir,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        limit=recipe.limit,
        image_size=networks.image_size_of(recipe),
    )
    if recipe.calibrate_teacher:
        refuse_dense(splits.info)
    material = Material(recipe, splits, digests)
    built = {}
    for stage in recipe.stages():
        if stage.name == STUDENT_ALONE:
            continue
        try:
            built[stage.name] = material.build(stage)
            if function_of(stage.network) is not None:
                material.build(stage)  # whether it makes a new network each time
        except ValueError as error:
            raise ValueError(f"The recipe's `{stage.role}` cannot be built. {error}") from error
        if not may_be_taken(recipe, stage):
            material.views_of(stage)  # whether there is such a policy for these data
            refuse_frozen(built[stage.name], stage)
    for each in (recipe,) if taught_by is None else taught_by:
        _try_teaching(built, dataclasses.replace(material, recipe=each))
    return material


def _try_teaching(built: Mapping[str, keras.Model], material: Material) -> None:
    """Raise where losses do not fit the networks, with taps and all, or views not the images."""
    recipe = material.recipe
    for stage in filter(lambda stage: stage.is_taught, recipe.stages()):
        teachers = {name: built[name] for name in stage.taught_by}
        model = distiller(teachers, built[stage.name], material)
        asks = recipe.pick or recipe.policy in (FEEDBACK, UNIFORM)
        # Of losses between logits the Distiller itself knows all; tracing takes seconds.
        losses = keras.tree.flatten(model.distillation_losses)
        if asks or not all(map(_is_between_logits, losses)):
            try_step(model, material.task.loss(), next(iter(material.splits.validation)))


def _is_between_logits(loss: Any) -> bool:
    taps = (loss.teacher_layer_name, loss.student_layer_name)
    return isinstance(loss, LogitLoss) and taps == (None, None)


def distiller(
    teachers: Mapping[str, keras.Model], student: keras.Model, material: Material
) -> Distiller:
    """Return what trains a student with one teacher or several by their names, as the recipe says.

    Several are an `Ensemble`, or each has the recipe's losses with an equal share.
    """
    recipe = material.recipe
    terms = recipe.terms()
    if len(teachers) > 1 and recipe.combine_teachers != "each":
        teachers = {"ensemble": heard_as_one(teachers, recipe)}
    weights: list[Any] = [term.weight / len(teachers) for term in terms]
    if recipe.warm_up:
        steps = max(1, round(recipe.warm_up * recipe.epochs * material.splits.steps_per_epoch))
        weights = [
            keras.optimizers.schedules.PolynomialDecay(0.0, steps, end_learning_rate=weight)
            for weight in weights
        ]
    losses = {name: [term.build(recipe.temperature) for term in terms] for name in teachers}
    (first, *others) = teachers
    return Distiller(
        dict(teachers) if others else teachers[first],
        student,
        losses if others else losses[first],
        dict.fromkeys(teachers, weights) if others else weights,
        recipe.student_loss_weight,
        combine=recipe.combine,
        augmentation=material.views_of(recipe.stage(STUDENT)),
    )


def heard_as_one(
    teachers: Mapping[str, keras.Model], recipe: Recipe, with_labels: bool = True
) -> Ensemble:
    """Return several teachers as one; 'each' is heard by the mean of the probabilities.

    Args:
        teachers: The networks, by their names.
        recipe: Says how they are combined.
        with_labels: Whether the labels are there to weigh them by.
    """
    combine = "probability" if recipe.combine_teachers == "each" else recipe.combine_teachers
    weighs = recipe.teacher_weights == "confidence" or with_labels
    weights = recipe.teacher_weights if recipe.teacher_weights != "equal" and weighs else None
    return Ensemble(dict(teachers), combine, weights)


def train_networks(material: Material, folder: RunFolder, console: Console) -> None:
    """Train the networks of a recipe that are not yet: teacher, assistants and both students.

    The two students differ in the teacher alone: same initial weights, data, views and schedule.
    """
    networks_of = {stage.name: network_title(stage.network) for stage in material.recipe.stages()}
    for stage in material.recipe.stages():
        title = f"{stage.title} alone" if stage.name == STUDENT_ALONE else stage.title
        if stage.is_taught:
            by = " and ".join(networks_of[name] for name in stage.taught_by)
            title += f" with teacher{'s' if len(stage.taught_by) > 1 else ''} {by}"
        teachers = {name: folder.network(name) for name in stage.taught_by}
        train(stage, title, material, folder, teachers, console)


def train(
    stage: Stage,
    title: str,
    material: Material,
    folder: RunFolder,
    teachers: Mapping[str, Path],
    console: Console,
    name: str | None = None,
) -> None:
    """Train the network of a stage and keep it in a folder, where not yet done.

    Args:
        stage: What to train.
        title: What a person reads about it.
        material: Data and networks.
        folder: Where the network goes.
        teachers: Files of the trained networks that teach it, by their names.
        console: Where progress goes.
        name: The network's name in the folder; by default the stage's.
    """
    name = name or stage.name
    if folder.is_trained(name):
        return
    network = material.build(stage)
    if is_taken_as_it_is(material, stage, console):
        save_network(folder, name, network, [])
        return
    if stage.is_taught:
        # A copy from the file, which stays trainable: the Distiller freezes what it gets.
        taught_by: dict[str, Any] = {
            each: load_network(file, each) for each, file in teachers.items()
        }
        if material.recipe.calibrate_teacher:
            for each, teacher in taught_by.items():
                said = each.replace("_", " ").capitalize()
                taught_by[each] = calibrated(teacher, said, material.splits, console)
        model: Any = distiller(taught_by, network, material)
    else:
        model = Supervised(network, material.views_of(stage))
    training = Training(name, stage, title, network, model, material.task)
    training.run(folder, material.recipe, material.splits, console)


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
        at_most = max(1, _VERIFICATION_BYTES // (4 * math.prod(splits.info.input_shape)))
        results = [
            _exported(student, kind, folder.path / name, material, at_most, console)
            for name, kind in _FILES
        ]
    noun = material.task.noun
    verified = {result.path.name: _verification(result, noun) for result in results}
    write_whole(folder.path / EXPORT, json.dumps(verified, indent=2) + "\n")
    folder.note(EXPORTED, [FLOAT32, INT8, EXPORT])
    for result in results:
        # Without an agreement there is one class alone, and only one answer.
        same = 100 * (1.0 if result.agreement is None else result.agreement)
        say(
            console,
            f"{result.path.name}: on {result.examples} test {noun}s {same:.2f} % the same answer "
            f"as the Keras student, logits at most {result.largest_difference:.2g} apart",
        )


def _exported(
    student: keras.Model,
    quantization: Quantization,
    path: Path,
    material: Material,
    at_most: int,
    console: Console,
) -> export.ExportResult:
    splits = material.splits
    arguments = material.task.export_arguments(splits.info)

    def exported(least: float | None) -> export.ExportResult:
        return export.to_tflite(
            student,
            path,
            quantization,
            # The validation split would do as well; the test split would not.
            representative_data=splits.training().take(splits.steps_per_epoch),
            examples=_CALIBRATION_EXAMPLES,
            verification_data=splits.test,
            verification_examples=min(splits.info.test_examples, at_most),
            min_agreement=least,
            name=f"{student.name} on {splits.info.title}",
            **arguments,
        )

    try:
        return exported(_LEAST_AGREEMENT)
    except export.DisagreementError as error:
        # The trainings are over, and the report says what the file is worth.
        say(console, f"{error.finding} It is kept, with its accuracy in the report.", bold=True)
        return exported(None)


def _verification(result: export.ExportResult, noun: str) -> dict[str, Any]:
    return {
        f"test_{noun}s": result.examples,
        "agreement": result.agreement,
        "largest_difference": result.largest_difference,
        "mean_difference": result.mean_difference,
        "float_operators": list(result.float_operators),
        "bytes": result.bytes,
        "sha256": result.sha256,
    }
