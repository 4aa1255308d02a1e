"""Rank policies by what the teacher says of their views, before any student is trained."""

from __future__ import annotations

import dataclasses
import math
import os
import statistics
import time
from collections.abc import Callable, Sequence

from rich.console import Console

from kd_keras.arguments import check_integer
from kd_keras.jobs.teacher import load_data, load_teacher, required_teacher
from kd_keras.quiet_start import starting
from kd_keras.report.progress import progress_bar


@dataclasses.dataclass(frozen=True)
class PolicyScore:
    """What was measured of one policy.

    Attributes:
        policy: Its name.
        values: T.stddev in each repeat.
        teacher_batches: Batches of views that the teacher labelled, in all repeats together.
        seconds: What drawing and labelling them took, compilation included.
    """

    policy: str
    values: tuple[float, ...]
    teacher_batches: int
    seconds: float

    @property
    def stddev(self) -> float:
        """Mean over the repeats; lower is better."""
        return statistics.fmean(self.values)

    @property
    def standard_error(self) -> float | None:
        """Standard error of that mean, or `None` after one repeat."""
        if len(self.values) < 2:
            return None
        return statistics.stdev(self.values) / math.sqrt(len(self.values))


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Policies, the best one first, and what they were measured on.

    Attributes:
        dataset: Name of the dataset.
        teacher: File of the teacher.
        batch_size: Examples in a batch.
        window: Teacher batches in a window.
        windows: Windows in a repeat.
        seed: Seed of the data's order and of the views.
        shared_batches: Batches of data as they are, which the teacher labelled once for all.
        scores: The policies, by ascending T.stddev.
    """

    dataset: str
    teacher: str
    batch_size: int
    window: int
    windows: int
    seed: int
    shared_batches: int
    scores: tuple[PolicyScore, ...]


def rank_policies(
    dataset: str,
    policies: Sequence[str],
    *,
    teacher: str | os.PathLike[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    batch_size: int = 64,
    window: int = 10,
    windows: int = 20,
    repeats: int = 3,
    seed: int = 0,
    console: Console | None = None,
) -> Ranking:
    """Rank named policies by T.stddev, the spread of the teacher's mean probability.

    All policies see the same training batches in the same order. Repeat r goes on where repeat
    r - 1 stopped, with other views.

    Args:
        dataset: As `kd_keras.data.load` takes it.
        policies: Names of `kd_keras.augment.policy_names()`.
        teacher: A `.keras` file; by default `saved_models/<dataset>/teacher.keras`.
        data_dir: As `kd_keras.data.load` takes it.
        batch_size: Examples in a batch; the paper's is 64.
        window: Teacher batches in a window, see `kd_keras.evaluate.teacher_stddev`.
        windows: Windows in a repeat.
        repeats: How often everything is measured, at least 1.
        seed: Seed of the data's order and of the views.
        console: Where progress goes; by default standard output.

    Returns:
        The ranking, the lowest (best) first.

    Raises:
        ValueError: If there is no teacher, it does not fit the data, or an argument is out of
            range.
        ConnectionError: If the data must be downloaded and cannot be.

    Example:

    ```python
    from kd_keras.jobs import rank_policies

    ranking = rank_policies("digits", ["none", "digits"], teacher="teacher.keras")
    ranking.scores[0].policy
    ```

    Reference: Wang et al., "What Makes a 'Good' Data Augmentation in Knowledge Distillation - A
    Statistical Perspective", NeurIPS 2022, arXiv:2012.02909.
    """
    console = console or Console()
    repeats = check_integer("repeats", repeats, 1)
    if not policies:
        raise ValueError(f"`policies` must name a policy. Received: policies={policies!r}.")
    path = required_teacher(dataset, teacher)
    with starting(console, "Starting TensorFlow and opening the data"):
        from kd_keras import augment
        from kd_keras.evaluate.view_quality import (
            checked_batches,
            label_views,
            mean_probabilities,
            window_stddev,
        )

        batches = checked_batches(window, windows)
        drawn = {name: augment.named(name, seed=seed) for name in policies}
        network = load_teacher(path)
        splits = load_data(dataset, network, data_dir, batch_size=batch_size, seed=seed)
        label = label_views(network)
        label_of = {name: label_views(network, policy) for name, policy in drawn.items()}
    values: dict[str, list[float]] = {name: [] for name in drawn}
    seconds = dict.fromkeys(drawn, 0.0)
    epochs = math.ceil(batches / splits.steps_per_epoch)
    done = 0
    total = repeats * (len(drawn) + 1) * batches
    with progress_bar(console, f"Ranking {len(drawn)} policies", total) as shown:

        def counter(doing: str) -> Callable[[int], None]:
            before = done

            def advance(batch: int) -> None:
                nonlocal done
                done = before + batch
                shown(done, doing)

            return advance

        for repeat in range(repeats):
            stream = splits.training(first_epoch=repeat * epochs)
            advance = counter(f"repeat {repeat + 1}/{repeats}: data")
            plain = mean_probabilities(label, stream, batches, progress=advance)
            for name in drawn:
                advance = counter(f"repeat {repeat + 1}/{repeats}: {name}")
                started = time.monotonic()
                views = mean_probabilities(
                    label_of[name], stream, batches, seed=repeat, progress=advance
                )
                seconds[name] += time.monotonic() - started
                values[name].append(window_stddev(plain, views, window))
            if not console.is_terminal:
                console.print(f"  repeat {repeat + 1}/{repeats} done", highlight=False)
    scores = [
        PolicyScore(name, tuple(values[name]), repeats * batches, seconds[name]) for name in drawn
    ]
    return Ranking(
        dataset=splits.info.title,
        teacher=str(path),
        batch_size=batch_size,
        window=window,
        windows=windows,
        seed=seed,
        shared_batches=repeats * batches,
        scores=tuple(sorted(scores, key=lambda score: score.stddev)),
    )
