"""What a person sees of long work: a bar in a terminal, lines in a log."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from kd_keras.escaping import visible
from kd_keras.report.saying import say

# In a log, a network reports about this often.
_LINES = 10
_SHOWN = ("loss", "val_accuracy")


def _clock() -> tuple[TimeElapsedColumn, TextColumn, TimeRemainingColumn, TextColumn]:
    left = TimeRemainingColumn(compact=True)
    return TimeElapsedColumn(), TextColumn("of about"), left, TextColumn("more")


@contextlib.contextmanager
def progress_bar(console: Console, what: str, total: int) -> Iterator[Callable[..., None]]:
    """Show progress of work whose size is known, while the block runs.

    Args:
        console: Where to.
        what: What is being done.
        total: How many parts it has.

    Yields:
        A function to call with the number of parts done so far, and with what is being done now
        where that changes.
    """
    if not console.is_terminal:
        say(console, f"{what} ...")
        yield lambda done, what=what: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), *_clock())
    # It leaves no trace: what was measured follows.
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(visible(what), total=total)
        yield lambda done, what=what: progress.update(
            task, completed=done, description=visible(what)
        )


class TrainingProgress:
    """The progress of one network through its epochs.

    Args:
        console: Where to write.
        title: What is trained.
        epochs: How many epochs there are.
        steps: Steps in an epoch.
        first_epoch: How many epochs an earlier process has trained already.
    """

    def __init__(self, console: Console, title: str, epochs: int, steps: int, first_epoch: int = 0):
        self._console = console
        self._title = title
        self._epochs = epochs
        self._steps = steps
        self._first_epoch = first_epoch
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._started = self._first_ended = time.monotonic()

    @contextlib.contextmanager
    def shown(self) -> Iterator[TrainingProgress]:
        """Show the progress while the block runs."""
        done = self._first_epoch
        note = f", going on after epoch {done}" if done else ""
        say(self._console, self._title, f": {self._epochs} epochs{note}")
        self._started = time.monotonic()
        if not self._console.is_terminal:
            yield self
            return
        columns = (
            TextColumn("  epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            TextColumn("{task.fields[logs]}", markup=False),
            *_clock(),
        )
        with Progress(*columns, console=self._console) as self._bar:
            self._task = self._bar.add_task(
                self._title,
                total=self._epochs * self._steps,
                completed=done * self._steps,
                epoch=min(done + 1, self._epochs),
                epochs=self._epochs,
                logs="",
            )
            yield self

    def step(self) -> None:
        """Note that a step is done."""
        if self._bar is not None:
            self._bar.advance(self._task)

    def epoch(self, number: int, logs: Mapping[str, float]) -> None:
        """Note that epoch `number`, counted from 1, ended with `logs`."""
        if number == self._first_epoch + 1:
            # It held the tracing of the step, which says nothing of the epochs to come.
            self._first_ended = time.monotonic()
        text = "  ".join(f"{name} {logs[name]:.4f}" for name in _SHOWN if name in logs)
        if self._bar is not None:
            self._bar.update(self._task, logs=text, epoch=min(number + 1, self._epochs))
        elif number % math.ceil(self._epochs / _LINES) == 0 or number == self._epochs:
            now = time.monotonic()
            text += f"  {now - self._started:.0f} s"
            timed = number - self._first_epoch - 1
            if timed:
                left = (now - self._first_ended) / timed * (self._epochs - number)
                text += f", about {left:.0f} s more"
            say(self._console, f"  epoch {number}/{self._epochs}  {text}")
