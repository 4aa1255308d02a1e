"""The charts of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kd_keras.evaluate.curves import Chart
from kd_keras.evaluate.svg import COLOURS, drawn, grid
from kd_keras.study.summary import Effect, Summary, TreatmentResult

_STYLES = ("-", "--", ":")


def study_charts(summary: Summary) -> list[Chart]:
    """Return accuracy by treatment, effects, validation curves, and curves of feedback policies."""
    made = [_accuracies(summary.treatments)]
    interactions = [effect for effect in summary.effects if effect.kind == "interaction"]
    if interactions:
        made.append(_interactions(interactions))
    for taught in _taughts(summary.treatments):
        curves = {
            row.treatment.augmentation: row.curve
            for row in summary.treatments
            if _taught(row) == taught
        }
        made.append(_curves(f"validation accuracy: {taught}", curves, "accuracy"))
    for row in summary.treatments:
        if row.feedback:
            heading = f"probability of each transform: {row.treatment.title}"
            made.append(_curves(heading, row.feedback, "probability"))
    return made


def _accuracies(rows: Sequence[TreatmentResult]) -> Chart:
    augmentations = list(dict.fromkeys(row.treatment.augmentation for row in rows))
    taughts = _taughts(rows)
    with drawn("accuracies", (7.0, 3.6)) as drawing:
        axes = drawing.axes
        for index, taught in enumerate(taughts):
            mine = [row for row in rows if _taught(row) == taught]
            # Side by side, so that intervals do not hide each other.
            shift = (index - (len(taughts) - 1) / 2) * 0.6 / max(len(taughts), 2)
            means = [100 * row.accuracy.mean for row in mine]
            axes.errorbar(
                [augmentations.index(row.treatment.augmentation) + shift for row in mine],
                means,
                yerr=[
                    [m - 100 * row.accuracy.low for m, row in zip(means, mine, strict=True)],
                    [100 * row.accuracy.high - m for m, row in zip(means, mine, strict=True)],
                ],
                fmt="o",
                capsize=3,
                color=COLOURS[index % len(COLOURS)],
                label=taught,
            )
        axes.set_xticks(range(len(augmentations)), augmentations, rotation=30, ha="right")
        axes.set_ylabel("test accuracy, %")
        grid(axes, "y")
        axes.legend(frameon=False, fontsize=10, title="distillation", title_fontsize=10)
    return Chart("test accuracy with 95 % intervals over seeds and images", drawing.svg, wide=True)


def _interactions(effects: Sequence[Effect]) -> Chart:
    with drawn("interactions", (7.0, 1.2 + 0.4 * len(effects))) as drawing:
        axes = drawing.axes
        for position, effect in enumerate(reversed(effects)):
            mean, low, high = (
                100 * value
                for value in (effect.estimate.mean, effect.estimate.low, effect.estimate.high)
            )
            axes.errorbar(
                mean,
                position,
                xerr=[[mean - low], [high - mean]],
                fmt="o",
                capsize=3,
                color=COLOURS[0],
            )
        axes.axvline(0, color="#808080", linewidth=1)
        axes.set_yticks(
            range(len(effects)), [effect.treatment.title for effect in reversed(effects)]
        )
        axes.set_xlabel("interaction, points of accuracy")
        grid(axes, "x")
    heading = "what both give together beyond the sum of each alone"
    return Chart(heading, drawing.svg, wide=True)


def _curves(heading: str, lines: Mapping[str, Sequence[float]], label: str) -> Chart:
    from matplotlib.ticker import MaxNLocator

    with drawn(heading, (5.2, 3.4 if len(lines) < 6 else 4.4)) as drawing:
        axes = drawing.axes
        for index, (name, values) in enumerate(lines.items()):
            axes.plot(
                range(1, len(values) + 1),
                values,
                label=name,
                color=COLOURS[index % len(COLOURS)],
                linestyle=_STYLES[index // len(COLOURS) % len(_STYLES)],
                linewidth=1.6,
            )
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        grid(axes)
        # Below the axes: a dozen names would hide the lines.
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.18), "ncols": 3}
        axes.legend(frameon=False, fontsize=9, **(place if len(lines) > 5 else {}))
    return Chart(heading, drawing.svg)


def _taught(row: TreatmentResult) -> str:
    teacher = row.treatment.teacher_augmentation
    return f"{row.treatment.distillation} (teacher: {teacher})" if teacher else "none"


def _taughts(rows: Sequence[TreatmentResult]) -> list[str]:
    return list(dict.fromkeys(map(_taught, rows)))
