"""`kd-keras distill`: a recipe from data to a verified phone model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from kd_keras import recipes, run
from kd_keras.commands.per_recipe import one_of_recipes


@dataclasses.dataclass(frozen=True)
class Distill:
    """One `kd-keras distill ...`.

    Attributes:
        recipe: What decides the result.
        name: Name of the recipe.
        output: Folder of the run; by default saved_models/<recipe>, with -smoke for --smoke.
        data_dir: Where TensorFlow Datasets keeps its data; its own default otherwise.
        smoke: Run small: at most 2 epochs of 256 examples. For trying out, not for results.
        fresh: Delete an earlier run in the folder and start over.
        debug: Show the traceback of an error (also: KD_KERAS_DEBUG=1).
    """

    recipe: recipes.Recipe
    name: tyro.conf.Suppress[str]
    output: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    data_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    smoke: tyro.conf.FlagCreatePairsOff[bool] = False
    fresh: tyro.conf.FlagCreatePairsOff[bool] = False
    debug: tyro.conf.FlagCreatePairsOff[bool] = False

    def run(self, command: str, console: Console) -> None:
        """Run it; `command` is what the user typed."""
        folder = f"{self.name}-smoke" if self.smoke else self.name
        run.distill(
            self.recipe.smoke() if self.smoke else self.recipe,
            self.output or Path("saved_models") / folder,
            data_dir=self.data_dir,
            fresh=self.fresh,
            command=command,
            console=console,
        )


def command() -> Any:
    """Return the function that the command line calls, typed by the recipes that there are."""

    def distill(job: Any) -> Any:
        """Train a teacher, a student alone and a distilled student; export and verify them."""
        return job

    distill.__annotations__["job"] = one_of_recipes(
        lambda recipe, name: Distill(recipe=recipe, name=name)
    )
    return distill
