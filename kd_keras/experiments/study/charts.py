"""The charts of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kd_keras.experiments.study.summary import Effect, Summary, TreatmentResult
from kd_keras.report.drawing import AXES, COLOURS, Chart, draw

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

    def paint(axes: Any) -> None:
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

    heading = "test accuracy with 95 % intervals over seeds and images"
    return draw(heading, paint, size=(7.0, 3.6), wide=True)


def _interactions(effects: Sequence[Effect]) -> Chart:
    def paint(axes: Any) -> None:
        for position, effect in enumerate(reversed(effects)):
            estimate = effect.estimate
            mean, low, high = (100 * v for v in (estimate.mean, estimate.low, estimate.high))
            axes.errorbar(
                mean,
                position,
                xerr=[[mean - low], [high - mean]],
                fmt="o",
                capsize=3,
                color=COLOURS[0],
            )
        axes.axvline(0, color=AXES, linewidth=1)
        titles = [effect.treatment.title for effect in reversed(effects)]
        axes.set_yticks(range(len(effects)), titles)
        axes.set_xlabel("interaction, points of accuracy")

    heading = "what both give together beyond the sum of each alone"
    size = (7.0, 1.2 + 0.4 * len(effects))
    return draw(heading, paint, size=size, wide=True, legend=False)


def _curves(heading: str, lines: Mapping[str, Sequence[float]], label: str) -> Chart:
    def paint(axes: Any) -> None:
        from matplotlib.ticker import MaxNLocator

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
        # Below the axes where there are many: a dozen names would hide the lines.
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.18), "ncols": 3}
        axes.legend(frameon=False, fontsize=9, **(place if len(lines) > 5 else {}))

    size = (5.2, 3.4 if len(lines) < 6 else 4.4)
    return draw(heading, paint, size=size, legend=False)


def _taught(row: TreatmentResult) -> str:
    teacher = row.treatment.teacher_augmentation
    return f"{row.treatment.distillation} (teacher: {teacher})" if teacher else "none"


def _taughts(rows: Sequence[TreatmentResult]) -> list[str]:
    return list(dict.fromkeys(map(_taught, rows)))
