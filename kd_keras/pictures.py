"""How a picture file becomes pixels, alike in training, in `predict` and on the page of `demo`.

| the file                                          | what a network sees                        |
|---------------------------------------------------|--------------------------------------------|
| PNG, JPEG, BMP, GIF, WebP, whatever its name      | its pixels; a folder takes PNG and JPEG    |
| any other format                                  | refused: some start programs when read     |
| turned by its EXIF orientation                    | upright                                    |
| transparent, wholly or in part                    | on black                                   |
| animated, or several pictures in one file         | the first; of a PNG the one for old readers|
| 16 bits a channel                                 | the upper eight                            |
| grey, one bit, palette, CMYK                      | RGB (grey for a network of grey images)    |
| a colour profile, a gamma                         | not applied                                |
| one transparent colour in a PNG not of 8 bits     | refused: Pillow takes another for it       |
| more than 128 million pixels                      | refused: some bytes can stand for gigabytes|

JPEG is decoded with the accurate transform, and sizes change by an antialiased triangle filter; the
three places agree but for the rounding of one level. Pillow reads for `predict` and looks at every
image of a folder when it is opened; what it finds there, `kd_keras.data.decoding` follows in
TensorFlow. The page has the browser's own decoder, and `demo.js.j2` what is left to say. Images of
TensorFlow Datasets are what their makers' builders give.
"""

from __future__ import annotations

import dataclasses
import os
import threading
import warnings
from collections.abc import Sequence

import numpy as np
import PIL.ExifTags
import PIL.Image

from kd_keras.regular_file import open_regular

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
MOST_PIXELS = 128_000_000

# Not read, and told from what is no picture at all.
_NAMED = ("TIFF",)
_NOT_EXIF = ("XML:com.adobe.xmp", "xmp", "Raw profile type exif")
_TURNS = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
_TOO_LARGE = f"it has more than {MOST_PIXELS:,} pixels. Make it smaller"
_BIT_DEPTH = 24  # where a PNG says it
# Filters of warnings are the whole process's.
_filtering = threading.Lock()


class _Refused(ValueError):
    """Told from what decoders raise."""


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture as it is stored.

    Attributes:
        image: All of it, in memory.
        orientation: How it is to be turned: 1..8 as EXIF counts, 1 for not at all.
        transparent: Whether it may be seen through.
    """

    image: PIL.Image.Image
    orientation: int
    transparent: bool

    @property
    def size(self) -> tuple[int, int]:
        """Height and width when it is upright."""
        width, height = self.image.size
        return (width, height) if self.orientation >= 5 else (height, width)

    def seen(self) -> PIL.Image.Image:
        """Return it upright and opaque, of 8 bits a channel, in any mode without transparency."""
        image = self.image
        if image.mode.startswith("I"):
            # Pillow's own conversion cuts off whatever is above 255.
            image = PIL.Image.fromarray((np.asarray(image) >> 8).astype("uint8"))
        elif self.transparent:
            black = PIL.Image.new("RGBA", image.size, "black")
            image = PIL.Image.alpha_composite(black, image.convert("RGBA")).convert("RGB")
        return image.transpose(_TURNS[self.orientation]) if self.orientation in _TURNS else image


def open_picture(path: str | os.PathLike[str], formats: Sequence[str] = FORMATS) -> Picture:
    """Return the picture in a file.

    Args:
        path: The file.
        formats: Which of `FORMATS` are taken.

    Raises:
        OSError: If there is no such file, or it cannot be opened.
        ValueError: If it is no picture of these formats, damaged, too large, or of a kind that is
            not read; the message is to follow the file's name.

    Example:

    >>> import PIL.Image
    >>> from kd_keras.pictures import open_picture
    >>> PIL.Image.new("RGB", (40, 20), "red").save("red.png")
    >>> open_picture("red.png").size
    (20, 40)
    """
    with open_regular(path) as file:
        head = file.read(_BIT_DEPTH + 1)
        file.seek(0)
        try:
            with _filtering, warnings.catch_warnings():
                # Of sizes that are taken here. It would be raised where warnings are errors.
                warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
                image = PIL.Image.open(file, formats=(*FORMATS, *_NAMED))
            _refuse_kind(image, formats)
            # Only the whole image shows whether its end is there.
            image.load()
        except (_Refused, MemoryError):
            raise
        except PIL.UnidentifiedImageError as error:
            raise ValueError(
                "the file must be a picture, such as PNG or JPEG; no other formats are read than "
                f"{', '.join(formats)}"
            ) from error
        except PIL.Image.DecompressionBombError as error:
            raise ValueError(_TOO_LARGE) from error
        except Exception as error:  # the decoder of each format has some of its own
            raise ValueError(f"it is damaged ({error or type(error).__name__})") from error
    key = image.info.get("transparency")
    if head[:4] == b"\x89PNG" and head[_BIT_DEPTH] != 8 and image.mode != "P" and key is not None:
        raise _Refused(
            f"it is a PNG of {head[_BIT_DEPTH]} bits a channel with a transparent colour. Convert "
            "it to 8 bits a channel"
        )
    return Picture(image, _orientation(image), image.has_transparency_data)


def _refuse_kind(image: PIL.Image.Image, formats: Sequence[str]) -> None:
    # Telephones write several pictures into one JPEG file.
    kind = "JPEG" if image.format == "MPO" else image.format
    if kind not in formats:
        raise _Refused(f"it is {kind}. Convert it to {' or '.join(formats)}")
    if image.width * image.height > MOST_PIXELS:
        raise _Refused(_TOO_LARGE)


def _orientation(image: PIL.Image.Image) -> int:
    for name in _NOT_EXIF:  # Pillow would look there too, and nobody else does.
        image.info.pop(name, None)
    try:
        found = image.getexif().get(PIL.ExifTags.Base.Orientation)
    except Exception:  # Damaged EXIF says nothing, and the pixels are whole.
        return 1
    return int(found) if found in _TURNS else 1
