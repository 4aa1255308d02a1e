"""Open a folder of images and masks: `image/*.png` and `label/*.png` of the same names."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from kd_keras.data.decoding import decode_file, decode_jpeg
from kd_keras.data.dense import DenseSource
from kd_keras.data.mask_files import IMAGES, MASKS, MaskedImage, classes_of, examined
from kd_keras.data.source import Cut
from kd_keras.data.splits import SPLITS, Part, cut
from kd_keras.image_files import is_hidden


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

    def cut(self, fraction: float) -> Cut:
        """Cut what is missing off by image, so that no image has tiles in two parts."""
        images = {split: len(files) for split, files in self.files.items()}
        of_images = Cut(self, *cut(self.name, images, fraction))
        if self.tile is None:
            return of_images
        height, width = self.tile
        return Cut(
            self,
            train=self._of_tiles(of_images.train),
            validation=self._of_tiles(of_images.validation),
            test=self._of_tiles(of_images.test),
            rule_ends=f" of tiles {height}x{width}, cut by image: {of_images.rule}",
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

    def _of_tiles(self, part: Part) -> Part:
        """Return the tiles of a part of the images."""
        height, width, _ = self.input_shape
        count = [
            len(starts(file.height, height)) * len(starts(file.width, width))
            for file in self.files[part.split]
        ]
        return Part(part.split, sum(count[: part.start]), sum(count[: part.stop]))


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
        places = {name: folder / name for name in _folders(folder) if name in SPLITS}
    files = {split: examined(place) for split, place in places.items()}
    everything = [file for of_split in files.values() for file in of_split]
    classes, of_values = classes_of(folder, everything, names)
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
