"""Does T.stddev, which knows the teacher alone, foretell which policy gives the better student?

    python benchmarks/policy_quality.py --study saved_models/study-cifar10 [--help]

Reads a finished `kd-keras study` with several policies, ranks its policies with the teacher of the
study (`kd-keras policies`), and prints both beside Spearman's rank correlation between T.stddev and
the students' mean test loss (the NLL), with the exact permutation test for so few policies.
"""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from kd_keras.augment import policy_names
from kd_keras.jobs import rank_policies


def students(study: Path, distillation: str, teacher: str) -> dict[str, dict]:
    """Return each named policy's row of the study's report."""
    report = study / "study_report.json"
    if not report.is_file():
        raise SystemExit(f"--study: {report} does not exist. Run `kd-keras study` into the folder.")
    rows = {}
    for row in json.loads(report.read_text(encoding="utf-8"))["treatments"]:
        treatment = row["treatment"]
        is_named = treatment["augmentation"] in policy_names()  # not what follows the student
        of_teacher = treatment["teacher_augmentation"] == teacher
        if treatment["distillation"] == distillation and of_teacher and is_named:
            rows[treatment["augmentation"]] = row
    if len(rows) < 3:
        raise SystemExit(f"--study: {report} has {len(rows)} policies; a correlation needs more.")
    return rows


def permutation_p(a: np.ndarray, b: np.ndarray) -> float:
    """Return how often a random order correlates as positively, over all orders."""
    found = spearmanr(a, b).statistic
    orders = [spearmanr(a, b[list(o)]).statistic for o in itertools.permutations(range(len(b)))]
    return float(np.mean(np.array(orders) >= found - 1e-12))


def main(
    study: Path,
    dataset: str = "cifar10",
    data_dir: Path | None = None,
    distillation: str = "kl",
    teacher: str = "standard",
    windows: int = 20,
    repeats: int = 3,
) -> None:
    """Print T.stddev beside the students' test loss, and their rank correlation.

    Args:
        study: Folder of a finished study.
        dataset: As `kd-keras policies` takes it.
        data_dir: Where TensorFlow Datasets keeps its data.
        distillation: Which students, by the study's name of their distillation.
        teacher: Which of the study's teachers, by the policy that it was trained with.
        windows: As `kd-keras policies` takes it.
        repeats: As `kd-keras policies` takes it.
    """
    console = Console(width=100)
    rows = students(study, distillation, teacher)
    ranking = rank_policies(
        dataset,
        list(rows),
        teacher=study / "teachers" / teacher / "teacher.keras",
        data_dir=data_dir,
        windows=windows,
        repeats=repeats,
        console=console,
    )
    table = Table(title="the teacher's word before, the students' test after")
    for column in ("policy", "T.stddev x 1000", "seeds", "test NLL", "test accuracy %"):
        table.add_column(column, justify="left" if column == "policy" else "right")
    for score in ranking.scores:
        row = rows[score.policy]
        nll, accuracy = row["measures"]["nll"], row["measures"]["accuracy"]
        error = "" if score.standard_error is None else f" +- {1000 * score.standard_error:.2f}"
        table.add_row(
            score.policy,
            f"{1000 * score.stddev:.2f}{error}",
            str(len(row["seeds"])),
            f"{nll['mean']:.3f}",
            f"{100 * accuracy['mean']:.2f}",
        )
    console.print(table)
    stddev = np.array([score.stddev for score in ranking.scores])
    loss = np.array([rows[score.policy]["measures"]["nll"]["mean"] for score in ranking.scores])
    console.print(
        f"Spearman's rank correlation of T.stddev and test NLL over {len(loss)} policies: "
        f"{spearmanr(stddev, loss).statistic:+.2f} "
        f"(one-sided exact p = {permutation_p(stddev, loss):.3f})"
    )


if __name__ == "__main__":
    tyro.cli(main)
