"""Accuracy against size and against latency, of all files of a student."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

_INK, _FRONT = "#555555", "#0086c9"


class Contender(NamedTuple):
    """A file in the plot.

    Attributes:
        name: What stands beside its point.
        bytes: Its size.
        latency_ms: Milliseconds for one image on one thread.
        accuracy: On the test split, 0..1.
    """

    name: str
    bytes: int
    latency_ms: float
    accuracy: float


def pareto_plot(files: Sequence[Contender], reference: float, examples: int) -> str:
    """Return an SVG picture of two charts; the line joins the files that no other one beats.

    A file is beaten by one that is as accurate and no larger (no slower), and better in one of the
    two.

    Args:
        files: The files.
        reference: Accuracy of the model that they were made from, 0..1: the dotted line.
        examples: How many test images the accuracies are of.
    """
    # The object interface, not pyplot: no global figure, no window system, no lasting settings.
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "pareto", "font.size": 10, "text.color": _INK}):
        figure = Figure(figsize=(9.6, 3.8), layout="constrained")
        FigureCanvasSVG(figure)
        size, time = figure.subplots(1, 2, sharey=True)
        _draw(size, files, reference, "size in kB", lambda file: file.bytes / 1e3)
        _draw(time, files, reference, "latency in ms, one thread", lambda file: file.latency_ms)
        size.set_ylabel(f"accuracy in %, {examples:,} test images")
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()


def _draw(
    axes: Any,
    files: Sequence[Contender],
    reference: float,
    heading: str,
    cost: Callable[[Contender], float],
) -> None:
    front = pareto_front([(cost(file), file.accuracy) for file in files])
    best = sorted((cost(files[index]), 100 * files[index].accuracy) for index in front)
    axes.plot(*zip(*best, strict=True), color=_FRONT, linewidth=1.2, zorder=1)
    for index, file in enumerate(files):
        point = (cost(file), 100 * file.accuracy)
        axes.scatter(*point, color=_FRONT if index in front else _INK, zorder=2)
        axes.annotate(file.name, point, textcoords="offset points", xytext=(6, 5), color=_INK)
    axes.axhline(100 * reference, color=_INK, linestyle=":", linewidth=1)
    axes.set_xlabel(heading)
    axes.set_xscale("log")
    axes.margins(x=0.25, y=0.2)
    axes.grid(color=_INK, alpha=0.2)


def pareto_front(points: list[tuple[float, float]]) -> set[int]:
    """Return the positions of the points (cost, gain) that no other point beats.

    >>> sorted(pareto_front([(1, 0.9), (2, 0.95), (3, 0.95), (4, 0.99)]))
    [0, 1, 3]
    """

    def beaten(cost: float, gain: float) -> bool:
        return any(c <= cost and g >= gain and (c, g) != (cost, gain) for c, g in points)

    return {index for index, point in enumerate(points) if not beaten(*point)}
