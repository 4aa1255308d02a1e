"""Charts as SVG that stands inside a page, light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from kd_keras.escaping import visible
from kd_keras.report.lettering import lettered

# Okabe and Ito's colours without black and yellow, in tones that are legible on white and on black;
# distinguishable with every common colour vision.
COLOURS = ("#0086c9", "#e07b00", "#009e73", "#cc5f9a", "#8a78d6", "#b08d00")
AXES = "#808080"


@dataclass(frozen=True)
class Chart:
    """One drawn chart: a heading, its SVG element, and whether it stands in a row of its own."""

    heading: str
    svg: Markup
    wide: bool = False


def draw(
    heading: str,
    paint: Callable[[Any], None],
    *,
    size: tuple[float, float] = (5.2, 3.4),
    wide: bool = False,
    legend: bool = True,
) -> Chart:
    """Return a chart in the style of all charts of the page.

    Args:
        heading: What stands above it.
        paint: Draws on the matplotlib `Axes` that it gets.
        size: Width and height, in the unit in which letters have a size of 11 points (inches).
        wide: Whether it stands in a row of its own.
        legend: Whether the labels of what was drawn are listed.
    """
    # The object interface, not pyplot: no global figure, no window system, no lasting settings.
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    def drawn() -> str:
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.grid(color=AXES, alpha=0.25)
        axes.set_axisbelow(True)
        axes.tick_params(color=AXES)
        for spine in axes.spines.values():
            spine.set_color(AXES)
        paint(axes)
        if legend:
            axes.legend(frameon=False, fontsize=10)
        file = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
        return file.getvalue()

    settings = {"svg.fonttype": "none", "svg.hashsalt": heading, "font.size": 11}
    # What no font has here is for the browser's fonts to show: the text in the SVG is text.
    svg, _ = lettered(drawn, **settings)
    # matplotlib has escaped the names inside, but for what acts unseen.
    return Chart(heading, Markup(_inline(visible(svg, keep="\n"))), wide)


def line(axes: Any, index: int, name: str, x: Any, y: Any) -> None:
    """Draw the line of one of several models, in the colour of its place."""
    axes.plot(x, y, "o-", label=name, color=COLOURS[index % len(COLOURS)], markersize=4)


def in_percent(axis: Any) -> None:
    """Label an axis of shares from 0 to 1 in percent."""
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1.0))


def _inline(svg: str) -> str:
    """Return the `<svg>` element alone, sized by the page and coloured by its text colour."""
    element = svg[svg.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    # Groups are called alike in every chart, and names must be unique in a page.
    element = re.sub(r'<g id="[^"]*"', "<g", element)
    return re.sub(r' (?:width|height)="[\d.]+pt"', "", element, count=2)
