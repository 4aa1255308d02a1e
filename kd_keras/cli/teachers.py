"""`kd-keras teachers`: which of several teachers suits a student, by a short distillation."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from kd_keras import jobs
from kd_keras.cli.job import Command, NetworkJob, json_file
from kd_keras.jobs.choosing import TeacherRanking
from kd_keras.portable import portable
from kd_keras.recipes.recipe import TeacherPolicyName
from kd_keras.recipes.stage import is_file
from kd_keras.report.saying import say
from kd_keras.report.table import Table, nats, percent, show


@dataclasses.dataclass(frozen=True)
class Teachers(NetworkJob):
    """Rank candidate teachers for a student, by a short distillation from each of them.

    The most accurate teacher need not be the best one: from a very large or a very sure one a small
    student may learn less (Cho and Hariharan, ICCV 2019, arXiv:1910.01348). Several sizes are
    candidates, and so are snapshots of one training, as
    keras.callbacks.ModelCheckpoint("snapshot{epoch}.keras") leaves them.

    Each probe begins with the same student and sees the same batches; it learns from the teacher
    alone, without labels. The order is by that student's accuracy. All is measured on the
    validation split. A probe is no full training: it compares teachers of one student and one
    dataset, and its accuracy is none to report.

    Attributes:
        dataset: 'digits', a name of TensorFlow Datasets, or a folder of images.
        teachers: Trained teachers, of any size and number of layers; or functions, as in
            mymodels.py:build.
        student: An architecture such as resnet8, a .keras file, or a function.
        data_dir: Where TensorFlow Datasets keeps its data; its own default otherwise.
        json: Write the ranking to this file too.
        probe_steps: Steps of each probe. A student of your own with batch normalisation of momentum
            0.99, Keras's default, needs 500.
        temperature: Softens the teachers' probabilities.
        policy: Augmentation of what teacher and student see in the probe.
        batch_size: Examples in a batch.
        learning_rate: Where the rate of the probe's Adam begins.
        seed: Seed of the student's initial weights, the data's order and the views.
        image_size: Resize images to this height and width.
        teacher_value_range: Lowest and highest value of the images that all teachers take; by
            default, for each file, 0 255, 0 1 or -1 1: that in which it is right most often.
        student_value_range: Likewise of a student of your own.
    """

    dataset: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="DATASET")]]
    teachers: tyro.conf.Positional[
        Annotated[tuple[str, ...], tyro.conf.arg(metavar="TEACHER.keras...")]
    ]
    student: Annotated[str, tyro.conf.arg(metavar="NAME|FILE.keras")]
    data_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE.json")] = None
    probe_steps: int = 200
    temperature: float = 4.0
    policy: TeacherPolicyName = "none"
    batch_size: int = 128
    learning_rate: float = 0.003
    seed: int = 0
    image_size: int | None = None
    teacher_value_range: tuple[float, float] | None = None
    student_value_range: tuple[float, float] = (0.0, 255.0)

    def __post_init__(self) -> None:
        if not self.teachers:
            raise ValueError(
                "name the teachers after the data: kd-keras teachers DATASET a.keras b.keras "
                "--student NAME"
            )

    def run(self, call: str, console: Console) -> None:
        self.import_own_module(console)
        with json_file(self.json, "teachers", console) as write:
            ranking = jobs.rank_teachers(
                self.dataset,
                self.teachers,
                self.student,
                data_dir=self.data_dir,
                probe_steps=self.probe_steps,
                temperature=self.temperature,
                policy=self.policy,
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                seed=self.seed,
                image_size=self.image_size,
                teacher_value_range=self.teacher_value_range,
                student_value_range=self.student_value_range,
                console=console,
            )
            write(as_json(ranking, call))
            for table in _tables(ranking):
                show(table, console)
            for line in explained(ranking):
                say(console, line)
            say(console, f"To go on: {self._next(ranking)}")

    def _next(self, ranking: TeacherRanking) -> str:
        """Return the command that trains the student with the first teacher."""
        best = ranking.scores[0]
        words = ["kd-keras", "distill", self.dataset, "--teacher", best.teacher]
        words += ["--student", self.student]
        if not is_file(best.teacher):
            words += ["--train-teacher", "no"]
        if best.value_range not in (None, (0.0, 255.0)):
            words += ["--teacher-value-range", *(f"{end:g}" for end in best.value_range)]
        return shlex.join(words)


def _tables(ranking: TeacherRanking) -> tuple[Table, Table]:
    what_came_out = Table(
        ("teacher", "student", "agreement", "accuracy", "NLL", "ECE"),
        [
            (
                score.name,
                percent(score.student_accuracy),
                percent(score.agreement),
                percent(score.accuracy),
                nats(score.nll),
                f"{score.ece:.3f}",
            )
            for score in ranking.scores
        ],
        title=f"{ranking.dataset}: teachers of {portable(ranking.student)}, the best one first",
        caption=f"student: its accuracy after {ranking.probe_steps} steps of the KL divergence at "
        f"temperature {ranking.temperature:g}, without labels; agreement: how often it then "
        "answers as its teacher. accuracy, NLL (nats) and ECE are the teacher's own; ECE is how "
        "far its confidence is from its accuracy. All on the "
        f"{ranking.examples:,} examples of the validation split; equal students go by their "
        "teachers' NLL.",
    )
    what_they_are = Table(
        ("teacher", "parameters", "ratio", "entropy", "off the top"),
        [
            (
                score.name,
                f"{score.parameters:,}",
                f"{score.capacity_ratio:.2f}",
                nats(score.soft_entropy),
                percent(score.soft_rest),
            )
            for score in ranking.scores
        ],
        title="How large they are, and how soft their labels",
        caption=f"ratio: parameters over the student's {ranking.student_parameters:,}. At "
        f"temperature {ranking.temperature:g}, in the mean: entropy of the soft labels, in nats "
        f"(all {ranking.classes} classes alike: {math.log(ranking.classes):.3f}), and the "
        "probability that is not on the likeliest class.",
    )
    return what_came_out, what_they_are


def explained(ranking: TeacherRanking) -> list[str]:
    """Return what the order says, and how it differs from that by own accuracy, in sentences.

    Args:
        ranking: The ranking.
    """
    from kd_keras.training.suspicion import better_than_chance

    best, by_accuracy = ranking.scores[0], ranking.by_own_accuracy
    most_accurate = by_accuracy[0]
    lines = [
        f"{score.name} was shown images in {score.value_range[0]:g} to {score.value_range[1]:g}."
        for score in ranking.scores
        if score.value_range not in (None, (0.0, 255.0))
    ]
    if by_accuracy == ranking.scores:
        lines.append("By the teachers' own accuracy the order would be the same.")
    else:
        names = ", ".join(score.name for score in by_accuracy)
        lines.append(f"By the teachers' own accuracy the order would be: {names}.")
    if most_accurate != best:
        lost = 100 * (best.student_accuracy - most_accurate.student_accuracy)
        lines.append(
            f"{most_accurate.name} is the most accurate, and its student is {lost:.2f} points "
            f"below that of {best.name}. It has {most_accurate.capacity_ratio:.2f} times the "
            f"student's parameters, not {best.capacity_ratio:.2f}; its soft labels have an entropy "
            f"of {nats(most_accurate.soft_entropy)}, not {nats(best.soft_entropy)}; its ECE is "
            f"{most_accurate.ece:.3f}, not {best.ece:.3f}. Which of these is the cause, a probe "
            "does not tell."
        )
    if best.student_accuracy < better_than_chance(ranking.classes, ranking.examples):
        lines.append(
            "No student is clearly better than chance, so the order says nothing: take more "
            "--probe-steps or another --learning-rate."
        )
        return lines
    share = best.student_accuracy
    error = math.sqrt(share * (1 - share) / ranking.examples)
    near = sum(share - score.student_accuracy <= 2 * error for score in ranking.scores[1:])
    if near:
        lines.append(
            f"{near} of the others {'is' if near == 1 else 'are'} within {200 * error:.2f} points "
            f"of the first student: two standard errors of an accuracy on {ranking.examples:,} "
            "examples. That may be chance; look at another --seed, or at more --probe-steps."
        )
    return lines


def as_json(ranking: TeacherRanking, call: str) -> str:
    """Return the ranking as JSON text, with the sentences that explain it."""
    fields = dataclasses.asdict(ranking)
    rows = fields.pop("scores")
    for row in rows:
        row["teacher"] = portable(row["teacher"])
    found = {
        "command": call,
        **fields,
        "student": portable(ranking.student),
        "by_own_accuracy": [score.name for score in ranking.by_own_accuracy],
        "explained": explained(ranking),
        "teachers": rows,
    }
    return json.dumps(found, indent=2) + "\n"


COMMAND = Command(
    parse=Teachers,
    examples={"kd-keras teachers cifar10 a.keras b.keras --student resnet8": "which teacher suits"},
)
