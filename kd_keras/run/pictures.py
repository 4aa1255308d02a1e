"""Read any picture file as the pixels that a model takes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps


def read_picture(path: str | os.PathLike[str], shape: tuple[int, int, int]) -> np.ndarray:
    """Return a picture as pixels 0..255 of the size and channels that a model takes.

    It is turned as its EXIF orientation says, transparent parts become black, and it is resized
    (stretched, where its sides are in another ratio) with the antialiased triangle filter that
    `kd_keras.data.load(image_size=...)` trains with.

    Args:
        path: A PNG, JPEG or any other file that Pillow reads; the first frame of several.
        shape: (height, width, channels), channels 1 for grey or 3 for RGB.

    Returns:
        Uint8 array of `shape`.

    Raises:
        ValueError: If the file is missing, no picture, or cut off.

    Example:

    >>> import PIL.Image
    >>> from kd_keras.run import read_picture
    >>> PIL.Image.new("RGB", (40, 20), "red").save("red.png")
    >>> read_picture("red.png", (8, 8, 3))[0, 0].tolist()
    [255, 0, 0]
    """
    height, width, channels = shape
    try:
        with PIL.Image.open(path) as image:
            # Only the whole image shows whether its end is there.
            image.load()
            upright = PIL.ImageOps.exif_transpose(image)
    except PIL.UnidentifiedImageError as error:
        raise ValueError(
            f"A file to be classified must be a picture, such as PNG or JPEG. "
            f"Received: {str(path)!r}"
        ) from error
    # Pillow raises SyntaxError for a damaged PNG, and refuses a decompression bomb by an exception
    # of its own.
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or error
        folder = " It is a folder: pass the files in it." if Path(path).is_dir() else ""
        raise ValueError(
            f"A picture cannot be read: {reason}.{folder} Received: {str(path)!r}"
        ) from error
    pixels = _opaque(upright).convert("RGB" if channels == 3 else "L")
    if pixels.size != (width, height):
        pixels = pixels.resize((width, height), PIL.Image.Resampling.BILINEAR)
    return np.asarray(pixels).reshape(shape)


def _opaque(image: PIL.Image.Image) -> PIL.Image.Image:
    if image.mode.startswith("I"):
        # Sixteen bits: Pillow's own conversion cuts off whatever is above 255.
        return PIL.Image.fromarray((np.asarray(image) / 257).clip(0, 255).round().astype("uint8"))
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        return PIL.Image.alpha_composite(PIL.Image.new("RGBA", image.size, "black"), coloured)
    return image
