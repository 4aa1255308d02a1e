"""Read any picture file as the pixels that a model takes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import PIL.Image

from kd_keras.pictures import open_picture


def read_picture(path: str | os.PathLike[str], shape: tuple[int, int, int]) -> np.ndarray:
    """Return a picture as pixels 0..255 of the size and channels that a model takes.

    It is turned as its EXIF orientation says, transparent parts become black, and it is resized
    (stretched, where its sides are in another ratio) with the antialiased triangle filter that
    `kd_keras.data.load(image_size=...)` trains with; `kd_keras.pictures` has the whole rule.

    Args:
        path: A PNG, JPEG, BMP, GIF or WebP file, whatever its name; the first frame of several.
        shape: (height, width, channels), channels 1 for grey or 3 for RGB.

    Returns:
        Uint8 array of `shape`.

    Raises:
        ValueError: If the file is missing, no such picture, damaged or of more than 128 million
            pixels.

    Example:

    >>> import PIL.Image
    >>> from kd_keras.jobs import read_picture
    >>> PIL.Image.new("RGB", (40, 20), "red").save("red.png")
    >>> read_picture("red.png", (8, 8, 3))[0, 0].tolist()
    [255, 0, 0]
    """
    height, width, channels = shape
    pixels = _opened(path, channels)
    if pixels.size != (width, height):
        pixels = pixels.resize((width, height), PIL.Image.Resampling.BILINEAR)
    return np.asarray(pixels).reshape(shape)


def read_pixels(path: str | os.PathLike[str], channels: int) -> np.ndarray:
    """Return a picture as pixels 0..255 in its own size.

    Args:
        path: As for `read_picture`.
        channels: 1 for grey or 3 for RGB.

    Returns:
        Uint8 array `(height, width, channels)`.

    Raises:
        ValueError: As `read_picture`.
    """
    pixels = _opened(path, channels)
    return np.asarray(pixels).reshape(pixels.size[1], pixels.size[0], channels)


def _opened(path: str | os.PathLike[str], channels: int) -> PIL.Image.Image:
    try:
        picture = open_picture(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        folder = " It is a folder: pass the files in it." if Path(path).is_dir() else ""
        raise ValueError(
            f"A picture cannot be read: {reason}.{folder} Received: {str(path)!r}"
        ) from error
    return picture.seen().convert("RGB" if channels == 3 else "L")
