"""Where each class was found: overlap, borders, and maps laid over some test images."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from kd_keras.report.drawing import COLOURS, Chart, draw
from kd_keras.report.results import Report
from kd_keras.report.sections.section import Section
from kd_keras.report.strips import IMAGE, LABEL, strip
from kd_keras.report.table import ABSENT, Table, percent

_NOTES = (
    "Of the pixels of all test images together. IoU: of the pixels that have a class or were given "
    "it, the share of those for which both holds; mIoU is its mean over the classes. Boundary "
    "error: what is misplaced by more than 2 pixels, missed or made up of the borders between "
    "classes.",
)
_OVER = "Below, evenly spaced test images with the classes that were given laid over them: "
_OPACITY = 0.5
_NO_LABEL = 255


def section(report: Report) -> Section | None:
    """Return the scores of label maps for each model, and overlays of some test images."""
    examined = report.examinations.items()
    found = [(name, e.segmentation) for name, e in examined if e.segmentation is not None]
    if not found:
        return None
    names = report.class_names(len(found[0][1].iou))
    headings = ["model", "mIoU", "Dice", "boundary error", *(f"IoU: {name}" for name in names)]
    rows = [
        [name, *map(_share, (s.mean_iou, s.mean_dice, s.boundary_error, *s.iou))]
        for name, s in found
    ]
    notes = list(_NOTES)
    if report.strips:
        tones = ("blue", "orange", "green", "pink", "violet", "ochre")
        told = [f"{name} {tone}" for name, tone in zip(names[1:], tones, strict=False)]
        notes.append(f"{_OVER}{', '.join(told)}; {names[0]} is left as it is.")
    return Section("Label maps", notes, Table(headings, rows), _overlays(report))


def _overlays(report: Report) -> list[Chart]:
    if not report.strips:
        return []
    strips = {name: strip(text) for name, text in report.strips.items()}
    image = strips.pop(IMAGE).astype("float64") / 255
    image = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=-1)
    pictures = {"test images": image}
    pictures |= {name: _laid_over(image, classes) for name, classes in strips.items()}
    if LABEL in pictures:
        pictures["labels"] = pictures.pop(LABEL)
        order = ["test images", "labels", *(n for n in pictures if n not in ("labels",))]
        pictures = {name: pictures[name] for name in order}
    width = 9.0
    size = width, width * image.shape[0] / image.shape[1]
    return [
        draw(name, functools.partial(_show, picture), size=size, wide=True, legend=False)
        for name, picture in pictures.items()
    ]


def _laid_over(image: np.ndarray, classes: np.ndarray) -> np.ndarray:
    from matplotlib.colors import to_rgb

    painted = image.copy()
    for number in np.unique(classes):
        if number not in (0, _NO_LABEL):
            colour = np.array(to_rgb(COLOURS[(int(number) - 1) % len(COLOURS)]))
            chosen = classes == number
            painted[chosen] = (1 - _OPACITY) * image[chosen] + _OPACITY * colour
    return painted


def _show(picture: np.ndarray, axes: Any) -> None:
    axes.imshow(picture, interpolation="nearest")
    axes.set_axis_off()


def _share(value: float | None) -> str:
    return ABSENT if value is None else percent(value)
