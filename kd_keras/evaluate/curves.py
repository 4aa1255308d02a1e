"""Training curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from kd_keras.evaluate.svg import COLOURS, drawn, grid

History = Mapping[str, Sequence[float]]


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
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    with drawn(label) as drawing:
        axes = drawing.axes
        longest = max(len(values) for values in lines.values())
        quantities = list(dict.fromkeys(map(_quantity, lines)))
        for name, values in lines.items():
            axes.plot(
                range(1, len(values) + 1),
                [value if math.isfinite(value) else math.nan for value in values],
                label=name,
                color=COLOURS[quantities.index(_quantity(name)) % len(COLOURS)],
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
        grid(axes)
        axes.legend(frameon=False, fontsize=10)
    return drawing.svg


def _quantity(name: str) -> str:
    return name.removeprefix("val_")
