"""`kd-keras study`: which distillation and which augmentation go together."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from kd_keras import recipes
from kd_keras.cli.job import Command, Job
from kd_keras.cli.options import Share
from kd_keras.cli.per_recipe import Own, one_of_recipes
from kd_keras.experiments.study import Study, run_study
from kd_keras.experiments.study.grid import of_cells, policy_of_teacher, without_distillation


def _names_of(arguments: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.strip() for name in arguments[0].split(","))


Names = Annotated[
    tuple[str, ...],
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="A,B,...",
        instance_from_str=_names_of,
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda names: [",".join(names)],
    ),
]


@dataclasses.dataclass(frozen=True)
class StudyJob(Job):
    """One `kd-keras study ...`.

    Attributes:
        recipe: What all cells share. Its policy is not used: --augmentation says what students see.
        name: Name of the recipe.
        usual: The recipe before any option.
        distillation: none (labels alone), kl (softened KL), logits_mse, standardized_kl,
            decoupled_kd, dist, or KL and features: attention+kl, similarity+kl, relational+kl,
            hint+kl. Weights are the published ones, but for the hint's.
        augmentation: Policies. <policy>+pick lets the teacher pick the views that it is least sure
            of; feedback follows the gap between teacher and student, uniform is its control.
        teacher_augmentation: Policies that teachers are trained with, one teacher each.
        seeds: How many seeds, counted from --seed.
        shard: Only every N-th cell, beginning with the K-th: for machines without a common disk.
        ray: Spread the cells over a Ray cluster (RAY_ADDRESS) or this machine; needs the extra ray.
        report_only: Train nothing; report on the finished cells in the folder.
        repair: Make again what is damaged in the folder.
        teachers: Folder of an earlier study whose trained teachers are used again; its recipe may
            differ in what concerns students alone, such as --epochs.
        robustness_examples: Test images that are attacked and corrupted; 0 leaves both out.
        output: Folder of the study; by default saved_models/study-<recipe>.
        data_dir: Where TensorFlow Datasets keeps its data; its own default otherwise.
        smoke: Run small: at most 2 epochs of 256 examples. For trying out, not for results.
    """

    recipe: recipes.Recipe
    name: tyro.conf.Suppress[str]
    usual: tyro.conf.Suppress[Any]
    distillation: Names = ("none", "kl")
    augmentation: Names = ("none", "standard")
    teacher_augmentation: Names = ("standard",)
    seeds: int = 3
    shard: Share = (1, 1)
    ray: tyro.conf.FlagCreatePairsOff[bool] = False
    report_only: tyro.conf.FlagCreatePairsOff[bool] = False
    repair: tyro.conf.FlagCreatePairsOff[bool] = False
    teachers: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    robustness_examples: int = 1000
    output: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    data_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    smoke: tyro.conf.FlagCreatePairsOff[bool] = False

    def run(self, call: str, console: Console) -> None:
        without_effect = of_cells(self.recipe, self.usual)
        if without_effect:
            field = without_effect[0]
            raise ValueError(
                f"`{field}` has no effect in a study. Received: --{field.replace('_', '-')} "
                f"{getattr(self.recipe, field)}. Say how students are taught with --distillation, "
                "what they see with --augmentation, and what teachers see with "
                "--teacher-augmentation."
            )
        recipe = self.recipe.smoke(self.data_dir is None) if self.smoke else self.recipe
        folder = f"study-{self.name}-smoke" if self.smoke else f"study-{self.name}"
        run_study(
            Study(
                recipe=recipe,
                distillation=self.distillation,
                augmentation=self.augmentation,
                teacher_augmentation=self.teacher_augmentation,
                seeds=self.seeds,
            ),
            self.output or Path("saved_models") / folder,
            data_dir=self.data_dir,
            shard=self.shard,
            ray=self.ray,
            report_only=self.report_only,
            repair=self.repair,
            teachers=self.teachers,
            robustness_examples=self.robustness_examples,
            command=call,
            console=console,
        )


def _typed_by_the_recipes(own: Own | None) -> Any:
    """Return the function that the command line calls, typed by the recipes that there are."""

    def study(job: Any) -> Any:
        """Train every student of a grid over several seeds; report what goes together.

        Cells are independent and resumable: a study that was killed goes on with the same command,
        and processes that are started with the same folder share the cells.
        """
        return job

    study.__annotations__["job"] = one_of_recipes(
        lambda recipe, name: StudyJob(
            recipe=recipe,
            name=name,
            usual=without_distillation(recipe),
            augmentation=("none", recipe.policy),
            teacher_augmentation=(policy_of_teacher(recipe),),
        ),
        own,
    )
    return study


COMMAND = Command(
    parse=_typed_by_the_recipes,
    per_recipe=True,
    examples={"kd-keras study digits": "distillation with and without augmentation, over seeds"},
)
