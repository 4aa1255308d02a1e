"""`kd-keras distill`: the recipes as commands and their fields as options."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from kd_keras import experiments, recipes
from kd_keras.cli.job import Command, Job
from kd_keras.cli.per_recipe import Own, one_of_recipes
from kd_keras.recipes.distillation import Distillation, distilled_by


@dataclasses.dataclass(frozen=True)
class Distill(Job):
    """One `kd-keras distill ...`.

    Attributes:
        recipe: What decides the result.
        name: Name of the recipe.
        usual: The recipe before any option.
        output: Folder of the run; by default saved_models/<recipe>, with -smoke for --smoke.
        data_dir: Where TensorFlow Datasets keeps its data; its own default otherwise.
        stages: A chain of networks, each taught by the one before, instead of --teacher,
            --assistants and --student: resnet56,resnet20,resnet8. The same one again is a
            generation, born again.
        distillation: A way to distil that has a name, instead of --losses, --combine and --warm-up:
            kl (softened KL), logits_mse, standardized_kl, decoupled_kd, dist, or KL and features:
            attention+kl, similarity+kl, relational+kl, hint+kl. Weights are the published ones.
        print_recipe: Print the recipe that these options make, for --recipe FILE, and run nothing.
        smoke: Run small: at most 2 epochs of 256 examples. For trying out, not for results.
        fresh: Delete an earlier run in the folder and start over.
        repair: Make again what is damaged of an earlier run in the folder.
        robustness: Measure under corruptions, shifts and attacks too, on at most 1,000 test images.
    """

    recipe: recipes.Recipe
    name: tyro.conf.Suppress[str]
    usual: tyro.conf.Suppress[Any]
    output: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    data_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    stages: Annotated[str | None, tyro.conf.arg(metavar="A,B,...")] = None
    distillation: Distillation | None = None
    print_recipe: tyro.conf.FlagCreatePairsOff[bool] = False
    smoke: tyro.conf.FlagCreatePairsOff[bool] = False
    fresh: tyro.conf.FlagCreatePairsOff[bool] = False
    repair: tyro.conf.FlagCreatePairsOff[bool] = False
    robustness: bool = True

    def run(self, call: str, console: Console) -> None:
        recipe = self.recipe if self.stages is None else self._in_stages(self.stages)
        if self.distillation is not None:
            recipe = distilled_by(recipe, self.distillation)
        if self.smoke:
            recipe = recipe.smoke(without_files=self.data_dir is None)
        if self.print_recipe:
            console.file.write(recipe.to_json())
            return
        folder = f"{self.name}-smoke" if self.smoke else self.name
        experiments.distill(
            recipe,
            self.output or Path("saved_models") / folder,
            data_dir=self.data_dir,
            fresh=self.fresh,
            repair=self.repair,
            robustness=self.robustness,
            command=call,
            console=console,
        )

    def _in_stages(self, stages: str) -> recipes.Recipe:
        chain = [network.strip() for network in stages.split(",")]
        if len(chain) < 2:
            raise ValueError(
                "`--stages` takes a chain of two networks or more, such as resnet56,resnet20,"
                f"resnet8. Received: {stages!r}. A single network is --teacher or --student."
            )
        changed = self.recipe.differences(self.usual)
        said = [name for name in ("teacher", "assistants", "student") if name in changed]
        if said:
            raise ValueError(
                f"`--stages` says all networks of a run. Received: --{said[0]} beside it. Give one "
                "of them."
            )
        teacher, *assistants, student = chain
        return dataclasses.replace(
            self.recipe, teacher=teacher, assistants=tuple(assistants), student=student
        )


def _typed_by_the_recipes(own: Own | None) -> Any:
    """Return the function that the command line calls, typed by the recipes that there are."""

    def distill(job: Any) -> Any:
        """Train a teacher, a student alone and a distilled student; export and verify them.

        A teacher of your own teaches as it is: --teacher my_teacher.keras. So does a student of
        your own learn: --student my_student.keras, or mymodels.py:build, a function that returns a
        network.
        """
        return job

    distill.__annotations__["job"] = one_of_recipes(
        lambda recipe, name: Distill(recipe=recipe, name=name, usual=recipe), own
    )
    return distill


COMMAND = Command(
    parse=_typed_by_the_recipes,
    per_recipe=True,
    examples={
        "kd-keras distill digits": "the whole way on embedded data, in two to three minutes",
        "kd-keras distill digits --help": "its options: every field of the recipe",
        "kd-keras distill cifar10 --smoke": "try a long recipe in small",
        "kd-keras distill ./photos --teacher my.keras": "your own images and teacher",
    },
)
