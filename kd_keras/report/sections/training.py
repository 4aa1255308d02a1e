"""Training curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from kd_keras.report.drawing import COLOURS, Chart, draw, in_percent
from kd_keras.report.results import Report
from kd_keras.report.sections.section import Section


def section(report: Report) -> Section | None:
    """Return the curves of a run: validation accuracy of all models, then each model by itself.

    What a history does not have is left out; a run without histories has no curves.
    """
    made: list[Chart] = []
    together = {
        model: logs["val_accuracy"]
        for model, logs in report.histories.items()
        if logs.get("val_accuracy")
    }
    if len(together) > 1:
        made.append(_curves("validation accuracy", together, "accuracy", wide=True))
    for model, logs in report.histories.items():
        # Keras's distillers log `total_loss`, which is `loss` again.
        losses = {n: v for n, v in logs.items() if n.endswith("loss") and "total_loss" not in n}
        shares = {n: v for n, v in logs.items() if n.endswith(("accuracy", "agreement"))}
        for kind, lines in (("loss", losses), ("accuracy", shares)):
            if any(len(values) for values in lines.values()):
                made.append(_curves(f"{model}: {kind}", lines, kind))
    return Section("Training", charts=made) if made else None


def _curves(
    heading: str, lines: Mapping[str, Sequence[float]], label: str, wide: bool = False
) -> Chart:
    def paint(axes: Any) -> None:
        from matplotlib.ticker import MaxNLocator

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
        if label == "accuracy":
            in_percent(axes.yaxis)

    return draw(heading, paint, wide=wide)


def _quantity(name: str) -> str:
    return name.removeprefix("val_")
