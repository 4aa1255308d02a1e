"""Progress of work whose size is known: a bar in a terminal, one line in a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from kd_keras.escaping import visible
from kd_keras.run.saying import say


@contextmanager
def progress_bar(console: Console, what: str, total: int) -> Iterator[Callable[[float], None]]:
    """Show progress while the block runs.

    Args:
        console: Where to.
        what: What is being done.
        total: How many parts it has.

    Yields:
        A function to call with the number of parts done so far.
    """
    if not console.is_terminal:
        say(console, f"{what} ...")
        yield lambda done: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("of about"),
        TimeRemainingColumn(compact=True),
        TextColumn("more"),
    )
    # It leaves no trace: what was measured follows.
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(visible(what), total=total)
        yield lambda done: progress.update(task, completed=done)
