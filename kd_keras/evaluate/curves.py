"""Training curves as SVG that stands inside a page, light or dark."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

History = Mapping[str, Sequence[float]]

# Okabe and Ito's colours without black and yellow, in tones that are legible on white and on black;
# distinguishable with every common colour vision.
_COLOURS = ("#0086c9", "#e07b00", "#009e73", "#cc5f9a", "#8a78d6", "#b08d00")
_AXES = "#808080"


@dataclass(frozen=True)
class Chart:
    """One drawn chart: a heading, its SVG element, and whether it stands in a row of its own."""

    heading: str
    svg: Markup
    wide: bool = False


def charts(histories: Mapping[str, History]) -> list[Chart]:
    """Return the charts of a run: validation accuracy of all models, then each model by itself.

    What a history does not have is left out; a run without histories has no charts.
    """
    made: list[Chart] = []
    together = {
        model: logs["val_accuracy"] for model, logs in histories.items() if logs.get("val_accuracy")
    }
    if len(together) > 1:
        made.append(Chart("validation accuracy", _draw(together, "accuracy", True), wide=True))
    for model, logs in histories.items():
        # Keras's distillers log `total_loss`, which is `loss` again.
        losses = {n: v for n, v in logs.items() if n.endswith("loss") and "total_loss" not in n}
        shares = {n: v for n, v in logs.items() if n.endswith(("accuracy", "agreement"))}
        for kind, lines in (("loss", losses), ("accuracy", shares)):
            if any(len(values) for values in lines.values()):
                made.append(Chart(f"{model}: {kind}", _draw(lines, kind, kind == "accuracy")))
    return made


def _draw(lines: Mapping[str, Sequence[float]], label: str, shares: bool) -> Markup:
    # The object interface, not pyplot: no global figure, no window system, no lasting settings.
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": label, "font.size": 11}):
        figure = Figure(figsize=(5.2, 3.4), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        longest = max(len(values) for values in lines.values())
        quantities = list(dict.fromkeys(map(_quantity, lines)))
        for name, values in lines.items():
            axes.plot(
                range(1, len(values) + 1),
                [value if math.isfinite(value) else math.nan for value in values],
                label=name,
                color=_COLOURS[quantities.index(_quantity(name)) % len(_COLOURS)],
                # One colour for a quantity; dashed in training where validation is drawn too.
                linestyle="--" if f"val_{name}" in lines else "-",
                linewidth=1.8,
                marker="o" if longest < 3 else None,
            )
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if shares:
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.grid(color=_AXES, alpha=0.25)
        axes.tick_params(color=_AXES)
        for spine in axes.spines.values():
            spine.set_color(_AXES)
        axes.legend(frameon=False, fontsize=10)
        drawn = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(drawn, format="svg", transparent=True, metadata=nothing)
    # matplotlib has escaped the names inside.
    return Markup(_inline(drawn.getvalue()))


def _quantity(name: str) -> str:
    return name.removeprefix("val_")


def _inline(svg: str) -> str:
    """Return the `<svg>` element alone, sized by the page and coloured by its text colour."""
    element = svg[svg.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    return re.sub(r' (?:width|height)="[\d.]+pt"', "", element, count=2)
