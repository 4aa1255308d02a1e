"""`kd-keras record`: the teacher's answers on augmented views, to train students without it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console

from kd_keras import jobs
from kd_keras.cli.job import Command, NetworkJob, NotGoodEnough
from kd_keras.cli.options import Share
from kd_keras.jobs.recording import Recorded
from kd_keras.recipes.recipe import PolicyName
from kd_keras.recipes.stage import folder_name
from kd_keras.report.saying import say

if TYPE_CHECKING:
    from kd_keras.replay.checking import Checked


@dataclasses.dataclass(frozen=True)
class Record(NetworkJob):
    """Run a teacher once over augmented epochs and store what it says of every view.

    In Python, kd_keras.replay.ReplayTeacher then trains any number of students on the very same
    views with no teacher at all. A view takes 4 + 4K bytes with --top K, and 4 + 2C bytes with all
    C classes.

    A recording that was killed goes on with the same command and loses one shard at most. Processes
    started with the same --output share the shards; machines without a common lock take a --share
    each. More --epochs are added to what is there. Another teacher, other data or another policy in
    the same folder are refused.

    Attributes:
        dataset: 'digits', a name of TensorFlow Datasets, or a folder of images.
        policy: Augmentation that students will see.
        epochs: Epochs to record: as many as a student is to train.
        top: Classes to store of each view, the likeliest ones; all by default.
        teacher: A trained teacher; by default saved_models/<dataset>/teacher.keras.
        data_dir: Where TensorFlow Datasets keeps its data; its own default otherwise.
        output: Folder of the recording; by default saved_models/<dataset>-labels.
        batch_size: Examples in a batch: that of the students' training.
        seed: Seed of the data's order and of the views: that of the students' training.
        limit: Use the first training examples only; all by default.
        steps_per_shard: Batches in a file, at most.
        share: Only every N-th shard, beginning with the K-th.
        check: Record nothing: ask the teacher again about a sample, and compare. Ends with 3 where
            a view is another one, or probabilities differ by more than --tolerance in the mean.
        batches: How many batches --check compares.
        tolerance: The largest mean difference of a probability that --check accepts.
    """

    dataset: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="DATASET")]]
    policy: PolicyName = "standard"
    epochs: int = 30
    top: int | None = None
    teacher: Annotated[Path | None, tyro.conf.arg(metavar="FILE.keras")] = None
    data_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    output: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    batch_size: int = 128
    seed: int = 0
    limit: int | None = None
    steps_per_shard: int = 500
    share: Share = (1, 1)
    check: tyro.conf.FlagCreatePairsOff[bool] = False
    batches: int = 8
    tolerance: float = 0.005

    def __post_init__(self) -> None:
        for option in ("epochs", "batch_size", "steps_per_shard", "batches"):
            if getattr(self, option) < 1:
                name = option.replace("_", "-")
                raise ValueError(f"--{name} must be at least 1. Received: {getattr(self, option)}")
        if self.top is not None and self.top < 1:
            raise ValueError(f"--top must be at least 1. Received: {self.top}")
        if not 0 <= self.tolerance <= 1:
            raise ValueError(f"--tolerance must be from 0 to 1. Received: {self.tolerance:g}")
        if not 1 <= self.share[0] <= self.share[1]:
            raise ValueError(f"--share K/N takes K from 1 to N. Received: {self.share}")

    def run(self, call: str, console: Console) -> None:
        self.import_own_module(console)
        output = self.output or Path("saved_models") / f"{folder_name(self.dataset)}-labels"
        if self.check:
            checked = jobs.check_labels(
                self.dataset,
                output,
                teacher=self.teacher,
                data_dir=self.data_dir,
                batch_size=self.batch_size,
                seed=self.seed,
                limit=self.limit,
                batches=self.batches,
                console=console,
            )
            self._judge(checked, console)
            return
        recorded = jobs.record_labels(
            self.dataset,
            self.policy,
            output,
            epochs=self.epochs,
            top=self.top,
            teacher=self.teacher,
            data_dir=self.data_dir,
            batch_size=self.batch_size,
            seed=self.seed,
            limit=self.limit,
            steps_per_shard=self.steps_per_shard,
            share=self.share,
            console=console,
        )
        _show(recorded, console)

    def _judge(self, checked: Checked, console: Console) -> None:
        say(
            console,
            f"{checked.views} views: {checked.other_views} are of other images or of another "
            f"place, {checked.other_classes} have other likeliest classes; probabilities differ by "
            f"{checked.mean_difference:.2g} in the mean, {checked.largest_difference:.2g} at most",
        )
        if checked.other_views:
            raise NotGoodEnough(
                f"{checked.other_views} of {checked.views} views are not those that were recorded"
            )
        if checked.mean_difference > self.tolerance:
            raise NotGoodEnough(
                f"the teacher's probabilities differ by {checked.mean_difference:.2g} in the mean; "
                f"--tolerance is {self.tolerance:g}"
            )


def _show(recorded: Recorded, console: Console) -> None:
    if recorded.missing:
        say(
            console,
            f"{recorded.shards - recorded.missing} of {recorded.shards} files are in "
            f"{recorded.folder}; other processes or shares have the rest. The last of them "
            "finishes the recording.",
        )
        return
    say(
        console,
        f"{recorded.epochs} epochs, {recorded.views:,} views of {recorded.bytes_per_view} bytes, "
        f"{recorded.bytes:,} bytes in {recorded.shards} files, in {recorded.folder}",
    )


COMMAND = Command(
    parse=Record,
    examples={
        "kd-keras record digits --policy digits --top 3": "keep the teacher's answers for students"
    },
)
