"""`kd-keras policies`: which augmentation suits a teacher, before any student is trained."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from kd_keras import jobs
from kd_keras.cli.job import Command, NetworkJob
from kd_keras.cli.options import KNOWN, split_policies
from kd_keras.escaping import csv_table
from kd_keras.folders import refuse_foreign_file, refuse_foreign_json
from kd_keras.jobs.ranking import Ranking
from kd_keras.portable import portable
from kd_keras.report.saying import say
from kd_keras.report.table import ABSENT, Table, show
from kd_keras.whole_file import write_whole

_SUFFIXES = (".json", ".csv")
_COLUMNS = ("policy", "t_stddev", "standard_error", "teacher_calls", "seconds")


@dataclasses.dataclass(frozen=True)
class Policies(NetworkJob):
    """Rank augmentation policies by what the teacher says of their views. No student is trained.

    The measure is T.stddev: how much the teacher's mean probability of a class differs from one
    window of batches to the next, over data and views together. Lower is better (Wang et al.,
    NeurIPS 2022, arXiv:2012.02909). It compares policies for one teacher and one dataset; it is
    no accuracy.

    Attributes:
        dataset: 'digits', a name of TensorFlow Datasets, or a folder of images.
        teacher: A trained teacher; by default saved_models/<dataset>/teacher.keras.
        policies: Policies to rank, separated by commas; by default all.
        data_dir: Where TensorFlow Datasets keeps its data; its own default otherwise.
        output: Write the ranking to this .json or .csv file too.
        batch_size: Examples in a batch; the paper's is 64.
        window: Teacher batches in a window, half data and half views.
        windows: Windows in a repeat.
        repeats: Repeats, which give the standard error.
        seed: Seed of the data's order and of the views.
    """

    dataset: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="DATASET")]]
    teacher: Annotated[Path | None, tyro.conf.arg(metavar="FILE.keras")] = None
    policies: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NAME[,NAME...]")
    ] = ()
    data_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    output: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    batch_size: int = 64
    window: int = 10
    windows: int = 20
    repeats: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        split_policies("--policies", self.policies)
        if self.output is not None and self.output.suffix not in _SUFFIXES:
            raise ValueError(
                f"--output must end in {' or '.join(_SUFFIXES)}. Received: {self.output}"
            )

    def run(self, call: str, console: Console) -> None:
        self.import_own_module(console)
        if self.output is not None and not self.output.parent.is_dir():
            raise ValueError(
                f"The folder of --output does not exist: {self.output.parent}. Create it first."
            )
        if self.output is not None and self.output.suffix == ".json":
            refuse_foreign_json(self.output, "policies", "--output")
        elif self.output is not None:
            refuse_foreign_file(self.output, ",".join(_COLUMNS), "policies")
        ranking = jobs.rank_policies(
            self.dataset,
            split_policies("--policies", self.policies) or KNOWN,
            teacher=self.teacher,
            data_dir=self.data_dir,
            batch_size=self.batch_size,
            window=self.window,
            windows=self.windows,
            repeats=self.repeats,
            seed=self.seed,
            console=console,
        )
        if self.output is not None:
            text = as_json(ranking, call) if self.output.suffix == ".json" else as_csv(ranking)
            write_whole(self.output, text)
        _print(ranking, console)
        if self.output is not None:
            say(console, f"Written to {self.output}")


def _print(ranking: Ranking, console: Console) -> None:
    rows = [
        (
            score.policy,
            f"{score.stddev:.5f}",
            ABSENT if score.standard_error is None else f"{score.standard_error:.5f}",
            str(score.teacher_batches),
            f"{score.seconds:.1f}",
        )
        for score in ranking.scores
    ]
    table = Table(
        ("policy", "T.stddev", "standard error", "teacher calls", "seconds"),
        rows,
        title=f"{ranking.dataset}, teacher {ranking.teacher}: lower is better",
        caption=f"T.stddev of {ranking.windows} windows of {ranking.window} batches of "
        f"{ranking.batch_size}, mean and standard error of {len(ranking.scores[0].values)} "
        f"repeats. The data as they are cost {ranking.shared_batches} more teacher calls, once "
        "for all policies.",
    )
    show(table, console)


def _rows(ranking: Ranking) -> list[tuple[object, ...]]:
    """Return the values of `_COLUMNS`, a row for each policy."""
    return [
        (s.policy, s.stddev, s.standard_error, s.teacher_batches, round(s.seconds, 3))
        for s in ranking.scores
    ]


def as_json(ranking: Ranking, call: str) -> str:
    """Return the ranking as JSON text, with the value of every repeat."""
    fields = dataclasses.asdict(ranking)
    fields.pop("scores")
    fields["teacher"] = portable(ranking.teacher)
    rows = [
        {**dict(zip(_COLUMNS, row, strict=True)), "values": list(score.values)}
        for row, score in zip(_rows(ranking), ranking.scores, strict=True)
    ]
    return json.dumps({"command": call, **fields, "policies": rows}, indent=2) + "\n"


def as_csv(ranking: Ranking) -> str:
    """Return the ranking as CSV text, a row for each policy."""
    return csv_table([_COLUMNS, *_rows(ranking)])


COMMAND = Command(
    parse=Policies,
    examples={"kd-keras policies digits": "rank augmentations with the teacher alone"},
)
