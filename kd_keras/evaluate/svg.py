"""Charts as SVG that stands inside a page, light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from markupsafe import Markup

# Okabe and Ito's colours without black and yellow, in tones that are legible on white and on black;
# distinguishable with every common colour vision.
COLOURS = ("#0086c9", "#e07b00", "#009e73", "#cc5f9a", "#8a78d6", "#b08d00")
_AXES = "#808080"


class Drawing:
    """One chart while it is drawn on `axes`, and its SVG element afterwards."""

    def __init__(self, axes: Any):
        self.axes = axes
        self.svg = Markup("")


@contextmanager
def drawn(salt: str, size: tuple[float, float] = (5.2, 3.4)) -> Iterator[Drawing]:
    """Give axes to draw on; when the block ends, `Drawing.svg` holds the element.

    matplotlib is imported here. Its object interface is used, not pyplot: no global figure, no
    window system, no lasting settings.

    Args:
        salt: Makes the ids inside the element the same on every run, and its own on a page.
        size: Width and height in inches, which set the proportions and the size of the text.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "font.size": 11}):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        drawing = Drawing(figure.add_subplot())
        yield drawing
        axes = drawing.axes
        axes.tick_params(color=_AXES)
        for spine in axes.spines.values():
            spine.set_color(_AXES)
        text = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    # matplotlib has escaped the names inside.
    drawing.svg = Markup(_inline(text.getvalue()))


def grid(axes: Any, axis: str = "both") -> None:
    """Draw faint lines at the ticks."""
    axes.grid(axis=axis, color=_AXES, alpha=0.25)


def _inline(svg: str) -> str:
    """Return the `<svg>` element alone, sized by the page and coloured by its text colour."""
    element = svg[svg.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    return re.sub(r' (?:width|height)="[\d.]+pt"', "", element, count=2)
