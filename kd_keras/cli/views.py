"""`kd-keras views`: what teacher and student see, with the teacher's soft labels."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from kd_keras import jobs
from kd_keras.cli.job import Command, NetworkJob
from kd_keras.cli.options import split_policies
from kd_keras.recipes.stage import folder_name
from kd_keras.report.saying import say


@dataclasses.dataclass(frozen=True)
class Views(NetworkJob):
    """Draw views of training images with the teacher's three likeliest classes under each.

    Writes views.html, one page that needs no network, and a picture for each policy. Originals
    stand in the first column; a mixed view shows both its labels with their shares.

    Attributes:
        dataset: 'digits', a name of TensorFlow Datasets, or a folder of images.
        policy: Policies to show, repeated or separated by commas.
        teacher: A trained teacher; by default saved_models/<dataset>/teacher.keras.
        data_dir: Where TensorFlow Datasets keeps its data; its own default otherwise.
        output: Folder for the files; by default saved_models/<dataset>-views.
        examples: Images to show, from 1 to 64.
        views: Views of each image, from 1 to 64.
        seed: Seed of the data's order and of the views.
    """

    dataset: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="DATASET")]]
    policy: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NAME[,NAME...]")
    ]
    teacher: Annotated[Path | None, tyro.conf.arg(metavar="FILE.keras")] = None
    data_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    output: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    examples: int = 8
    views: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        if not split_policies("--policy", self.policy):
            raise ValueError("--policy must name a policy, such as --policy standard,cutmix.")

    def run(self, call: str, console: Console) -> None:
        self.import_own_module(console)
        written = jobs.write_views(
            self.dataset,
            split_policies("--policy", self.policy),
            self.output or Path("saved_models") / f"{folder_name(self.dataset)}-views",
            teacher=self.teacher,
            data_dir=self.data_dir,
            examples=self.examples,
            views=self.views,
            seed=self.seed,
            command=call,
            console=console,
        )
        for path in written:
            say(console, str(path))


COMMAND = Command(
    parse=Views,
    examples={"kd-keras views digits --policy strong": "see views with the teacher's labels"},
)
