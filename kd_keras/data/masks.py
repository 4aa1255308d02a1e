"""Open a folder of images and masks: `image/*.png` and `label/*.png` of the same names."""

from __future__ import annotations

import dataclasses
import functools
import io
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import tensorflow as tf

from kd_keras.class_names import check_class_names
from kd_keras.data.decoding import decode_file, decode_jpeg
from kd_keras.data.dense import IGNORED, DenseSource
from kd_keras.data.splits import VALIDATION_NAMES, Part
from kd_keras.image_files import SUFFIXES, is_hidden
from kd_keras.pictures import Picture, open_picture

IMAGES, MASKS = "image", "label"
CLASSES = "classes.txt"
_LAYOUT = (
    f"<folder>/{IMAGES}/*.png and <folder>/{MASKS}/*.png of the same names, or "
    f"<folder>/train/{IMAGES}/ and <folder>/train/{MASKS}/ with validation and test likewise where "
    "there are any"
)
_SPLITS = ("train", "test", *VALIDATION_NAMES)
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


@dataclasses.dataclass(frozen=True)
class MaskFolderSource(DenseSource):
    """Tiles of the images of a folder, cut by image before tiles are cut.

    Attributes:
        classes: Name of each class, by id.
        classes_of_values: The class id, or 255, of each value of a mask, 256 of them.
        files: The images of each split, in the order of their names.
        tile: (height, width) of the tiles, or None for whole images.
    """

    classes: tuple[str, ...]
    classes_of_values: tuple[int, ...]
    files: Mapping[str, Sequence[MaskedImage]]
    tile: tuple[int, int] | None

    @property
    def version(self) -> str:
        return "1.0.0"

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.classes

    @property
    def folder(self) -> str:
        return self.name

    @functools.cached_property
    def _all(self) -> list[MaskedImage]:
        return [file for files in self.files.values() for file in files]

    @functools.cached_property
    def input_shape(self) -> tuple[int, int, int]:
        first = self._all[0]
        height, width = self.tile or (first.height, first.width)
        return height, width, 1 if all(file.grey for file in self._all) else 3

    @property
    def available(self) -> dict[str, int]:
        return {split: len(self._tiles(split)) for split in self.files}

    def cut(self, fraction: float) -> Any:
        """Cut what is missing off by image, so that no image has tiles in two parts."""
        of_images = dataclasses.replace(self, tile=None)
        whole = DenseSource.cut(of_images, fraction) if self.tile else super().cut(fraction)
        if self.tile is None:
            return whole
        parts = [
            Part(
                part.split,
                *(
                    sum(self._per_image(file) for file in self.files[part.split][:place])
                    for place in (part.start, part.stop)
                ),
            )
            for part in (whole.train, whole.validation, whole.test)
        ]
        height, width = self.tile
        return whole._replace(
            source=self,
            train=parts[0],
            validation=parts[1],
            test=parts[2],
            rule_ends=f" of tiles {height}x{width}, cut by image: {whole.rule}",
        )

    def encoded(self, part: Part) -> tf.data.Dataset:
        tiles = self._tiles(part.split)[part.start : part.stop]
        masks = [file.mask for file in self.files[part.split]]
        image = {
            "path": [str(self.files[part.split][index].path) for index, _, _ in tiles],
            "transparent": [self.files[part.split][index].transparent for index, _, _ in tiles],
            "row": [row for _, row, _ in tiles],
            "column": [column for _, _, column in tiles],
        }
        label = {
            "mask": [masks[index] for index, _, _ in tiles],
            "row": image["row"],
            "column": image["column"],
        }
        return tf.data.Dataset.from_tensor_slices((image, label))

    def decode(self, encoded: Any, label: Any) -> tuple[tf.Tensor, tf.Tensor]:
        height, width, channels = self.input_shape
        content = tf.io.read_file(encoded["path"])
        if channels == 1:
            pixels = decode_jpeg(content, 1)
        else:
            pixels = decode_file(content, encoded["transparent"], tf.constant(1))
        values = tf.io.decode_png(label["mask"], channels=1)
        image, mask = (
            whole[place["row"] : place["row"] + height, place["column"] : place["column"] + width]
            for whole, place in ((pixels, encoded), (values, label))
        )
        ids = tf.gather(tf.constant(self.classes_of_values, tf.int64), tf.cast(mask, tf.int32))
        return (
            tf.ensure_shape(image, self.input_shape),
            tf.ensure_shape(ids[..., 0], self.label_shape),
        )

    def _tiles(self, split: str) -> list[tuple[int, int, int]]:
        """Return the number of the image, the first row and the first column of each tile."""
        height, width, _ = self.input_shape
        return [
            (index, row, column)
            for index, file in enumerate(self.files[split])
            for row in starts(file.height, height)
            for column in starts(file.width, width)
        ]

    def _per_image(self, file: MaskedImage) -> int:
        height, width, _ = self.input_shape
        return len(starts(file.height, height)) * len(starts(file.width, width))


def starts(size: int, tile: int) -> list[int]:
    """Return where tiles begin that cover a side; where it is no multiple, the last two overlap.

    Example:

    >>> from kd_keras.data.masks import starts
    >>> starts(512, 256), starts(100, 40)
    ([0, 256], [0, 40, 60])
    """
    return [min(start, size - tile) for start in range(0, size, tile)]


def is_folder_of_masks(folder: Path) -> bool:
    """Whether a folder, or its `train`, holds nothing but a folder of images and one of masks."""
    for place in (folder, folder / "train"):
        if place.is_dir() and _folders(place) == [IMAGES, MASKS]:
            return True
    return False


def open_masks(
    folder: Path, tile: tuple[int, int] | None, names: tuple[str, ...] = ()
) -> MaskFolderSource:
    """Return the images of a folder with their masks.

    Every file is decoded once, so that what does not fit is known before the training starts.

    Args:
        folder: A folder that `is_folder_of_masks`. It may hold `classes.txt`, the name of each
            class in a line of its own, in the order of the ids.
        tile: (height, width) of the tiles that images are cut into, or None for whole images.
        names: Of the classes, where there is no `classes.txt`.

    Raises:
        ValueError: If an image has no mask, a mask no image or another size, a file cannot be read,
            values are no class ids, images are smaller than a tile, or differ in size while `tile`
            is None.
    """
    places = {"train": folder}
    if _folders(folder) != [IMAGES, MASKS]:
        places = {name: folder / name for name in _folders(folder) if name in _SPLITS}
    files = {split: _examined(place) for split, place in places.items()}
    everything = [file for of_split in files.values() for file in of_split]
    classes, of_values = _classes(folder, everything, names)
    if tile is None:
        sizes = sorted({(file.height, file.width) for file in everything})
        if len(sizes) > 1:
            raise ValueError(
                "Images must be of one size to form a batch, and `image_size` is None. Received: "
                f"sizes (height, width) {sizes[:4]}{' and more' if len(sizes) > 4 else ''} in "
                f"{str(folder)!r}. Pass `image_size=(height, width)`, the size of the tiles that "
                "they are cut into (--image-size 128 on the command line)."
            )
    else:
        small = [file for file in everything if file.height < tile[0] or file.width < tile[1]]
        if small:
            raise ValueError(
                "`image_size` is the size of the tiles that images with masks are cut into, and "
                f"no image may be smaller. Received: image_size={tile} and "
                f"{str(small[0].path)!r} of {small[0].height}x{small[0].width}. Take smaller tiles."
            )
    return MaskFolderSource(str(folder), classes, of_values, files, tile)


def _folders(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir() if path.is_dir() and not is_hidden(path))


def _examined(place: Path) -> list[MaskedImage]:
    images, masks = (_files(place / name) for name in (IMAGES, MASKS))
    for there, here, missing in ((images, masks, MASKS), (masks, images, IMAGES)):
        alone = sorted(set(there) - set(here))
        if alone:
            raise ValueError(
                f"Every image must have a mask of the same name. Received: {len(alone)} files in "
                f"{str(place)!r} with none in {missing!r}: "
                f"{[there[stem].name for stem in alone[:_NAMED]]}. Add or remove files. Expected: "
                f"{_LAYOUT}."
            )
    if not images:
        raise ValueError(
            f"A folder of images and masks must hold some. Received: {str(place)!r} with none. "
            f"Expected: {_LAYOUT}."
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
    PIL.Image.fromarray(values, "L").save(buffer, "PNG")
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


def _classes(
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
