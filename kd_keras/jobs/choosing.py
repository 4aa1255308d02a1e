"""Rank candidate teachers by what a short probe tells of each, for one student."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from kd_keras.arguments import check_integer
from kd_keras.network_files import network_file
from kd_keras.quiet_start import starting
from kd_keras.recipes.recipe import Recipe, TeacherPolicyName
from kd_keras.recipes.stage import STUDENT, TEACHER, folder_name, is_file, is_own
from kd_keras.report.progress import progress_bar
from kd_keras.report.saying import say

if TYPE_CHECKING:
    from kd_keras.experiments.probing import Candidate


@dataclasses.dataclass(frozen=True)
class TeacherScore:
    """What was measured of one candidate, on the validation split.

    Attributes:
        teacher: The candidate, as it was given.
        name: What a reader knows it by: the end of its path that no other has.
        value_range: (low, high) of the images that it was shown; None for data of another kind.
        accuracy: Its share of right answers, 0 to 1.
        nll: Its mean negative log-likelihood of the labels, in nats.
        ece: Its expected calibration error, 0 to 1, of 15 bins.
        parameters: How many weights it has.
        capacity_ratio: How many times as many as the student.
        soft_entropy: Mean entropy of its probabilities at the temperature, in nats.
        soft_rest: Mean probability at the temperature that is not on the likeliest class, 0 to 1.
        student_accuracy: Accuracy of the student after the probe, 0 to 1.
        agreement: Share of examples on which that student gives the candidate's answer, 0 to 1.
        seconds: What the probe took, compilation included.
    """

    teacher: str
    name: str
    value_range: tuple[float, float] | None
    accuracy: float
    nll: float
    ece: float
    parameters: int
    capacity_ratio: float
    soft_entropy: float
    soft_rest: float
    student_accuracy: float
    agreement: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class TeacherRanking:
    """Candidate teachers, the best one first, and what they were measured by.

    Attributes:
        dataset: Name of the dataset.
        classes: How many it has.
        examples: Examples of the validation split.
        student: The student.
        student_parameters: How many weights it has.
        probe_steps: Steps of each probe.
        temperature: Of the soft labels.
        policy: Augmentation of the views in the probes.
        batch_size: Examples in a batch.
        learning_rate: Where Adam's rate began.
        seed: Seed of initial weights, order of the data and views.
        scores: The candidates, by descending accuracy of the student; equal ones by their own NLL.
    """

    dataset: str
    classes: int
    examples: int
    student: str
    student_parameters: int
    probe_steps: int
    temperature: float
    policy: str
    batch_size: int
    learning_rate: float
    seed: int
    scores: tuple[TeacherScore, ...]

    @property
    def by_own_accuracy(self) -> tuple[TeacherScore, ...]:
        """The candidates by their own accuracy; equal ones in the order of the ranking."""
        return tuple(sorted(self.scores, key=lambda score: -score.accuracy))


def rank_teachers(
    dataset: str,
    teachers: Sequence[str | os.PathLike[str]],
    student: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    probe_steps: int = 200,
    temperature: float = 4.0,
    policy: TeacherPolicyName = "none",
    batch_size: int = 128,
    learning_rate: float = 0.003,
    seed: int = 0,
    image_size: int | None = None,
    teacher_value_range: tuple[float, float] | None = None,
    student_value_range: tuple[float, float] = (0.0, 255.0),
    console: Console | None = None,
) -> TeacherRanking:
    """Rank teachers by the student that a short distillation from each of them gives.

    ```
    probe of a teacher t:  minimise T^2 * KL(softmax(t(x) / T) || softmax(s(x) / T)), no labels
    ```

    All probes begin with the same initial weights of the student and see the same batches and views
    in the same order: `probe_steps` steps of Adam, whose rate falls to 0 along half a cosine. The
    test split is not touched.

    Args:
        dataset: As `kd_keras.data.load` takes it. Each example has one class.
        teachers: `.keras` files of trained networks, also several snapshots of one training, or
            functions that return one, as in mymodels.py:build. They may end in a softmax and take
            other sizes of images.
        student: The student, as `kd_keras.recipes.Recipe` takes it.
        data_dir: As `kd_keras.data.load` takes it.
        probe_steps: Steps of each probe, at least 1.
        temperature: T of the soft labels, 0.001 to 1000.
        policy: Augmentation of the views in the probes.
        batch_size: Examples in a batch.
        learning_rate: Where Adam's rate begins, > 0.
        seed: Seed of initial weights, order of the data and views.
        image_size: Height and width to bring images to, as in a recipe.
        teacher_value_range: (low, high) of the images that all teachers take. None finds out for
            each file: of 0 to 255, 0 to 1 and -1 to 1 that in which it is right most often.
        student_value_range: Likewise of a student of your own.
        console: Where progress goes; by default standard output.

    Returns:
        The ranking, the best one first.

    Raises:
        ValueError: If an argument is out of range, or a network does not fit the data: it says
            which, before anything is trained.
        NonFiniteLossError: If the loss of a probe is not finite any more.
        ConnectionError: If the data must be downloaded and cannot be.

    Example:

    ```python
    from kd_keras.jobs import rank_teachers

    ranking = rank_teachers("digits", ["deep.keras", "shallow.keras"], "mlp32")
    ranking.scores[0].teacher
    ```

    Reference: Cho and Hariharan, "On the Efficacy of Knowledge Distillation", ICCV 2019,
    arXiv:1910.01348: of larger and more accurate teachers students learnt less, and of teachers
    that were stopped early more.
    """
    console = console or Console()
    probe_steps = check_integer("probe_steps", probe_steps, 1)
    names = _names(teachers, dataset)
    recipe = Recipe(
        dataset=dataset,
        teacher=os.fspath(teachers[0]),
        student=os.fspath(student),
        policy=policy,
        temperature=temperature,
        student_loss_weight=0.0,
        train_teacher="no",
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        image_size=image_size,
        teacher_value_range=teacher_value_range or (0.0, 255.0),
        student_value_range=student_value_range,
    )
    with starting(console, "Starting TensorFlow and opening the data"):
        from kd_keras import data
        from kd_keras.experiments import networks, probing
        from kd_keras.experiments.stages import Material
        from kd_keras.experiments.trying import refuse_frozen

        splits = data.load(
            dataset,
            data_dir=data_dir,
            batch_size=recipe.batch_size,
            seed=recipe.seed,
            image_size=networks.image_size_of(recipe),
        )
        info = splits.info
        if info.label_shape:
            raise ValueError(
                f"`dataset` must have one class for each example. Received: {info.title!r}, of the "
                f"kind {info.task!r}, whose labels have the shape {info.label_shape}. Compare "
                "teachers of such data by a `kd-keras distill` with each."
            )
        materials = [
            Material(dataclasses.replace(recipe, teacher=os.fspath(teacher)), splits)
            for teacher in teachers
        ]
        learner = recipe.stage(STUDENT)
        materials[0].views_of(learner)  # whether there is such a policy for these data
        refuse_frozen(pupil := materials[0].build(learner), learner)
        networks_of = [each.build(each.recipe.stage(TEACHER)) for each in materials]
    with console.status("Asking the teachers about the validation split ..."):
        finds_range = teacher_value_range is None and info.task == "image"
        asked = [
            probing.ask(name, material, network, finds_range)
            for name, material, network in zip(names, materials, networks_of, strict=True)
        ]
    scores: list[TeacherScore] = []
    total = len(names) * probe_steps
    with progress_bar(console, f"Probing {len(names)} teachers", total) as shown:

        def counter(name: str, before: int) -> Callable[[int], None]:
            return lambda step: shown(before + step, f"Probing {name}")

        for name, candidate in zip(names, asked, strict=True):
            started = time.monotonic()
            counted = counter(name, len(scores) * probe_steps)
            answers = probing.probe(candidate, name, probe_steps, counted)
            seconds = round(time.monotonic() - started, 3)
            scores.append(_score(name, candidate, answers, pupil.count_params(), seconds))
            if not console.is_terminal:
                say(console, f"  {name}: {seconds:.1f} s")
    return TeacherRanking(
        dataset=info.title,
        classes=info.num_classes,
        examples=info.validation_examples,
        student=recipe.student,
        student_parameters=pupil.count_params(),
        probe_steps=probe_steps,
        temperature=recipe.temperature,
        policy=recipe.policy,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        seed=recipe.seed,
        scores=tuple(sorted(scores, key=lambda score: (-score.student_accuracy, score.nll))),
    )


def _score(
    name: str, candidate: Candidate, answers: Any, student_parameters: int, seconds: float
) -> TeacherScore:
    """Return what is known of a candidate, with the student's answers after its probe."""
    from kd_keras import evaluate
    from kd_keras.experiments.probing import spread

    recipe, splits = candidate.material.recipe, candidate.material.splits
    logits, labels = candidate.logits, candidate.labels
    entropy, rest = spread(logits, recipe.temperature)
    parameters = candidate.network.count_params()
    return TeacherScore(
        teacher=recipe.teacher,
        name=name,
        value_range=recipe.teacher_value_range if splits.info.task == "image" else None,
        accuracy=evaluate.accuracy(logits, labels),
        nll=evaluate.cross_entropy(logits, labels),
        ece=evaluate.expected_calibration_error(logits, labels),
        parameters=parameters,
        capacity_ratio=parameters / student_parameters,
        soft_entropy=entropy,
        soft_rest=rest,
        student_accuracy=evaluate.accuracy(answers, labels),
        agreement=evaluate.agreement(logits, answers),
        seconds=seconds,
    )


def _names(teachers: Sequence[str | os.PathLike[str]], dataset: str) -> list[str]:
    """Return names that tell the candidates apart: of each the end of its path, as short as can be.

    Raises:
        ValueError: If there are none, one is no trained network, or one is there twice.
    """
    remedy = (
        f"`kd-keras distill {dataset}` trains one and leaves it in "
        f"saved_models/{folder_name(dataset)}/{TEACHER}.keras."
    )
    if isinstance(teachers, str | os.PathLike) or not teachers:
        raise ValueError(
            "`teachers` must be a list of .keras files, at least one. Received: "
            f"teachers={teachers!r}. {remedy}"
        )
    given = [os.fspath(teacher) for teacher in teachers]
    for teacher in given:
        if not is_own(teacher):
            raise ValueError(
                "`teachers` must be trained networks: .keras files, or functions that return one, "
                f"as in mymodels.py:build. Received: {teacher!r}. {remedy}"
            )
        if is_file(teacher):
            network_file(teacher, "teachers", remedy)
    paths = [Path(os.path.abspath(os.path.expanduser(teacher))) for teacher in given]
    for count in range(1, max(len(path.parts) for path in paths) + 1):
        names = [Path(*path.parts[-count:]).as_posix() for path in paths]
        if len(set(names)) == len(names):
            return names
    twice = next(path for path in paths if paths.count(path) > 1)
    raise ValueError(
        f"`teachers` must name each network once. Received: {str(twice)!r} twice. Leave one out."
    )
