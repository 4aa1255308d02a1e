"""Views of images with the labels that a teacher gives them, as a picture and as a page.

matplotlib is imported when a picture is drawn.
"""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from kd_keras.escaping import html_template, visible
from kd_keras.folders import own_mark
from kd_keras.report.lettering import lettered

# Name of a class, and its share or probability.
Shares = tuple[tuple[str, float], ...]

# The command that writes the page.
KIND = "views"
# By which its pictures are known again.
PICTURE_MARK = "kd_keras views"
_INCHES = 1.5  # of a cell
_GAP = 0.08  # between cells, as a part of a cell
_LINE = 0.135  # of text, as a part of a cell
_LETTERS = 24  # that fit into a cell
_BAR, _TRUE_BAR, _INK = "#c9d6e2", "#a6d8b6", "#1c1e21"


@dataclass(frozen=True)
class View:
    """One image and what is said of it.

    Attributes:
        image: `(height, width, channels)` uint8 with 1 or 3 channels.
        labels: Its label, or the two of a mixed view, each with its share.
        predictions: The classes that the teacher finds likeliest, each with its probability;
            empty without a teacher.
    """

    image: np.ndarray
    labels: Shares
    predictions: Shares = ()

    def is_label(self, name: str) -> bool:
        """Return whether `name` is a label of the view."""
        return name in dict(self.labels)


@dataclass(frozen=True)
class Sheet:
    """Views by one policy.

    Attributes:
        policy: Its name.
        rows: One row for each example: the original, then its views.
    """

    policy: str
    rows: tuple[tuple[View, ...], ...]


def caption(labels: Shares) -> str:
    """Return labels in words: `ship`, or `ship (62 %) + frog (38 %)`."""
    if len(labels) == 1:
        return labels[0][0]
    return " + ".join(f"{name} ({percent(share)})" for name, share in labels)


def percent(share: float) -> str:
    """Return a share in words, such as `62 %`."""
    return f"{100 * share:.0f} %"


def draw_sheet(sheet: Sheet, missing: set[str] | None = None) -> bytes:
    """Return the sheet as a PNG picture. Images are scaled up without smoothing.

    Args:
        sheet: At least one row; all rows have the same number of views.
        missing: Gets the characters that no installed font has, in whose place boxes are drawn.
    """
    picture, unknown = lettered(functools.partial(_picture, sheet))
    if missing is not None:
        missing.update(unknown)
    return picture


def _picture(sheet: Sheet) -> bytes:
    # The object interface, not pyplot: no global figure, no window system, no lasting settings.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = 1 + max(len(view.predictions) for row in sheet.rows for view in row)
    across, down = 1 + _GAP, 1 + _GAP + (lines + 0.5) * _LINE
    columns = len(sheet.rows[0])
    width, height = columns * across, len(sheet.rows) * down + 2.5 * _LINE
    figure = Figure(figsize=(width * _INCHES, height * _INCHES), dpi=120, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    for column in range(columns):
        name = "original" if column == 0 else f"{sheet.policy}, view {column}"
        _write(axes, column * across + _GAP / 2, 1.25 * _LINE, name, weight="bold")
    for i, row in enumerate(sheet.rows):
        for j, view in enumerate(row):
            _draw(axes, view, j * across + _GAP / 2, i * down + 2.5 * _LINE)
    FigureCanvasAgg(figure)
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": PICTURE_MARK})
    return file.getvalue()


def render_gallery(
    title: str, command: str, sheets: Sequence[Sheet], teacher: str | None = None
) -> str:
    """Return one self-contained HTML page of all sheets. Text is escaped, images are embedded.

    Args:
        title: Heading of the page.
        command: What made it.
        sheets: At least one.
        teacher: Where the predictions come from; `None` where there are none.
    """
    return html_template("kd_keras.report", "gallery.html.j2").render(
        title=title,
        command=command,
        sheets=sheets,
        teacher=teacher,
        caption=caption,
        percent=percent,
        source=_data_url,
        mark=Markup(own_mark(KIND)),
    )


def _draw(axes: Any, view: View, left: float, top: float) -> None:
    image = view.image[..., 0] if view.image.shape[-1] == 1 else view.image
    height, width = image.shape[:2]
    # The longer side fills the cell.
    wide, high = width / max(height, width), height / max(height, width)
    x, y = left + (1 - wide) / 2, top + (1 - high) / 2
    axes.imshow(
        image,
        cmap="gray",
        vmin=0,
        vmax=255,
        interpolation="nearest",
        extent=(x, x + wide, y + high, y),
        aspect="auto",
    )
    line = top + 1 + 0.75 * _LINE
    _write(axes, left, line, caption(view.labels), weight="bold")
    for name, probability in view.predictions:
        line += _LINE
        colour = _TRUE_BAR if view.is_label(name) else _BAR
        axes.barh(line, probability, height=0.85 * _LINE, left=left, color=colour)
        _write(axes, left + 0.02, line, name)
        _write(axes, left + 0.98, line, percent(probability), horizontalalignment="right")


def _write(axes: Any, x: float, y: float, text: str, **style: Any) -> None:
    text = visible(text)
    axes.text(
        x,
        y,
        text,
        verticalalignment="center",
        fontsize=7 * min(1, _LETTERS / max(len(text), 1)),
        color=_INK,
        clip_on=True,
        **style,
    )


def _data_url(image: np.ndarray) -> str:
    from PIL import Image

    file = io.BytesIO()
    grey = image.shape[-1] == 1
    Image.fromarray(image[..., 0] if grey else image).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
