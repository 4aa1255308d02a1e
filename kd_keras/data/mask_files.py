"""Read images and their masks, and tell which classes the values of masks stand for."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL.Image

from kd_keras.class_names import check_class_names
from kd_keras.data.dense import IGNORED
from kd_keras.image_files import SUFFIXES, is_hidden
from kd_keras.pictures import Picture, open_picture

IMAGES, MASKS = "image", "label"
CLASSES = "classes.txt"
LAYOUT = (
    f"<folder>/{IMAGES}/*.png and <folder>/{MASKS}/*.png of the same names, or "
    f"<folder>/train/{IMAGES}/ and <folder>/train/{MASKS}/ with validation and test likewise where "
    "there are any"
)
_IDS = (
    "a mask holds for each pixel a class id 0, 1, 2, ... (255: no label), or 0 and 255 alone for "
    "two classes"
)
_GREY = frozenset({"1", "L", "I", "I;16"})
_NAMED = 5


class MaskedImage(NamedTuple):
    """An image and its mask, without the pixels of the image.

    Attributes:
        path: The image.
        height: Height of both.
        width: Width of both.
        grey: Whether the image is grey.
        transparent: Whether it may be seen through.
        mask: The mask as a grey PNG of 8 bits, for TensorFlow would make colours of a palette.
        values: The values that occur in it.
    """

    path: Path
    height: int
    width: int
    grey: bool
    transparent: bool
    mask: bytes
    values: frozenset[int]


def examined(place: Path) -> list[MaskedImage]:
    """Return the images of a folder with their masks, in the order of their names.

    Raises:
        ValueError: If an image has no mask, a mask no image or another size, or a file cannot be
            read.
    """
    images, masks = (_files(place / name) for name in (IMAGES, MASKS))
    for there, here, missing in ((images, masks, MASKS), (masks, images, IMAGES)):
        alone = sorted(set(there) - set(here))
        if alone:
            raise ValueError(
                f"Every image must have a mask of the same name. Received: {len(alone)} files in "
                f"{str(place)!r} with none in {missing!r}: "
                f"{[there[stem].name for stem in alone[:_NAMED]]}. Add or remove files. Expected: "
                f"{LAYOUT}."
            )
    if not images:
        raise ValueError(
            f"A folder of images and masks must hold some. Received: {str(place)!r} with none. "
            f"Expected: {LAYOUT}."
        )
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside of Python's lock.
        names = sorted(images)
        return list(pool.map(_read, map(images.get, names), map(masks.get, names)))


def _files(place: Path) -> dict[str, Path]:
    """Return the pictures of a folder by their names without the ending."""
    visible = [path for path in sorted(place.iterdir()) if not is_hidden(path)]
    found = [path for path in visible if path.suffix.lower() in SUFFIXES]
    others = [path.name for path in visible if path not in found]
    if others:
        warnings.warn(
            f"{len(others)} files in {str(place)!r} are left out, such as {others[:_NAMED]}: only "
            f"{sorted(SUFFIXES)} files are read. Convert or move the others.",
            stacklevel=6,
        )
    by_name = {path.stem: path for path in found}
    if len(by_name) < len(found):
        twice = sorted(path.name for path in found if by_name[path.stem] != path)
        raise ValueError(
            f"No two files may have one name but for the ending. Received: {twice[:_NAMED]} in "
            f"{str(place)!r}. Remove or rename one of each pair."
        )
    return by_name


def _read(image: Path, mask: Path) -> MaskedImage:
    picture, ids = _opened(image, ("JPEG", "PNG")), _opened(mask, ("PNG",))
    if ids.image.mode not in ("1", "L", "P"):
        raise ValueError(
            f"A mask must be grey or have a palette, 8 bits a pixel: {_IDS}. Received: "
            f"{str(mask)!r} of Pillow's mode {ids.image.mode!r}. Write its class ids as a grey PNG."
        )
    if picture.size != ids.size or picture.orientation != 1:
        turned = ", turned by its EXIF orientation," if picture.orientation != 1 else ""
        raise ValueError(
            f"A mask must have the height and width of its image. Received: {str(image)!r}{turned} "
            f"of {picture.size} and {str(mask)!r} of {ids.size}. Write both upright in one size; "
            "resize masks to the nearest pixel."
        )
    values = np.asarray(ids.image)
    if values.dtype == bool:
        values = values.astype("uint8")
    buffer = io.BytesIO()
    PIL.Image.fromarray(values).save(buffer, "PNG")
    grey = picture.image.mode in _GREY and not picture.transparent
    return MaskedImage(
        image,
        *picture.size,
        grey,
        picture.transparent,
        buffer.getvalue(),
        frozenset(np.unique(values).tolist()),
    )


def _opened(path: Path, formats: Sequence[str]) -> Picture:
    try:
        return open_picture(path, formats)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"A file in the folder of images and masks cannot be read, {' or '.join(formats)} "
            f"whatever its name. Received: {str(path)!r}: {reason}. Repair or remove it."
        ) from error


def classes_of(
    folder: Path, files: Sequence[MaskedImage], names: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the names of the classes, and the class of each value of a mask."""
    values = sorted(frozenset().union(*(file.values for file in files)))
    file = folder / CLASSES
    if file.is_file():
        names = tuple(name.strip() for name in file.read_text("utf-8").splitlines() if name.strip())
        check_class_names(names, repr(str(file)), "Write one name in a line, for each class id.")
    if values == [0, IGNORED] and len(names) in (0, 2):
        return names or ("0", "255"), (0, *[IGNORED] * 254, 1)
    ids = [value for value in values if value != IGNORED]
    known = list(range(len(names) or max(ids, default=0) + 1))
    if not set(ids) <= set(known) or len(known) < 2 or not (names or ids == known):
        raise ValueError(
            f"The values of masks must be class ids: {_IDS}. Received: {str(folder)!r} with the "
            f"values {values[:10]}{' and more' if len(values) > 10 else ''}"
            f"{f' and {len(names)} names of classes' if names else ''}. Write ids without gaps, or "
            f"a file {CLASSES} in that folder with the name of each id in a line."
        )
    return names or tuple(map(str, known)), tuple(range(256))
