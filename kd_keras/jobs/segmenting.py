"""Tell the class of every pixel of a picture with a `.tflite` file, as a phone would."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image

from kd_keras.jobs.pictures import read_pixels
from kd_keras.quiet_start import quiet_start
from kd_keras.whole_file import written_beside

# Of the classes in the mask's palette: the first is black, the others as in a report's overlays.
_BLACK = (0, 0, 0)


@dataclass(frozen=True)
class Segmented:
    """What a file says of the pixels of a picture.

    Attributes:
        model: Path of the file.
        picture: Path of the picture.
        mask: Path of the mask that was written.
        size: Height and width of both.
        shares: For each class its name and the share of the pixels that were given it, 0..1.
    """

    model: str
    picture: str
    mask: str
    size: tuple[int, int]
    shares: tuple[tuple[str, float], ...]


def segment(
    model: str | os.PathLike[str],
    picture: str | os.PathLike[str],
    mask: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    classes_output: str | None = None,
) -> Segmented:
    """Write the class of every pixel of a picture of any size as a mask of the same size.

    The picture is not resized: it is covered with tiles of the size of the file's input. The mask
    is a PNG with a palette whose values are class ids, as `kd_keras.data.load` reads them.

    Args:
        model: A `.tflite` file with an output (batch, height, width, classes).
        picture: PNG, JPEG, BMP, GIF or WebP.
        mask: Where the mask goes, such as "mask.png".
        labels: A text file with one label a line, instead of the labels in the file.
        mean: Subtracted from the pixels 0..255, instead of the normalisation in the file.
        std: Divides them then.
        classes_output: The name of the output with the classes, in a file of several.

    Raises:
        ValueError: If the file is damaged or gives no class for every pixel, the picture cannot be
            read, the labels do not fit, or the mask cannot be written.

    Example:

    ```python
    from kd_keras.jobs import segment

    segment("student_int8.tflite", "cells.png", "mask.png").shares
    ```
    """
    if Path(mask).suffix.lower() != ".png":
        raise ValueError(
            f"`mask` must be the name of a PNG file, which keeps class ids as they are. Received: "
            f"{str(mask)!r}. Call it {Path(mask).with_suffix('.png').name!r}."
        )
    with quiet_start():
        from kd_keras.export import Segmenter

        segmenter = Segmenter(model, labels, mean=mean, std=std, classes_output=classes_output)
    pixels = read_pixels(picture, segmenter.image_shape[-1])
    classes = segmenter.class_map(pixels)
    with written_beside(mask) as beside:
        beside.write_bytes(_png(classes))
    counts = np.bincount(classes.ravel(), minlength=len(segmenter.labels)) / classes.size
    return Segmented(
        str(model),
        str(picture),
        str(mask),
        (int(pixels.shape[0]), int(pixels.shape[1])),
        tuple(zip(segmenter.labels, map(float, counts), strict=True)),
    )


def _png(classes: np.ndarray) -> bytes:
    from matplotlib.colors import to_rgb

    from kd_keras.report.drawing import COLOURS

    colours = [tuple(round(255 * part) for part in to_rgb(colour)) for colour in COLOURS]
    palette = [_BLACK, *(colours[index % len(colours)] for index in range(255))]
    picture = PIL.Image.fromarray(classes)
    picture.putpalette([part for colour in palette for part in colour])
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
