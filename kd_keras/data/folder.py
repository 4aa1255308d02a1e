"""Open a folder of images, one sub-folder per split and class."""

from __future__ import annotations

import dataclasses
import functools
import random
import warnings
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from kd_keras.class_names import check_class_names
from kd_keras.data.by_class import by_class
from kd_keras.data.decoding import decode_file
from kd_keras.data.source import Cut, ImageSource
from kd_keras.data.splits import SPLITS, VALIDATION_NAMES, Part, cut
from kd_keras.image_files import SUFFIXES, is_hidden
from kd_keras.pictures import open_picture

_LAYOUT = (
    "<folder>/<class>/*.png, or <folder>/train/<class>/*.png with <folder>/test/ and "
    "<folder>/validation/ likewise where there are any (.jpg, .jpeg and .png files)"
)
_FORMATS = ("JPEG", "PNG")
_OTHER_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpe", ".jxl", ".tif", ".tiff", ".webp"}
)
_NAMED = 5


class ImageFile(NamedTuple):
    """What is known of one image without its pixels."""

    path: Path
    label: int
    height: int
    width: int
    transparent: bool
    orientation: int


@dataclasses.dataclass(frozen=True)
class FolderSource(ImageSource):
    """The images of a folder.

    Attributes:
        classes: Name of each class, by label.
        files: The images of each split, in the order in which they are read.
    """

    classes: tuple[str, ...]
    files: Mapping[str, Sequence[ImageFile]]

    @property
    def version(self) -> str:
        return "1.0.0"  # of this way of reading them, which is that of TFDS's ImageFolder

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.classes

    @property
    def stored_shape(self) -> tuple[Any, Any, int]:
        height, width = next(iter(self.sizes)) if len(self.sizes) == 1 else (None, None)
        return height, width, 3

    @functools.cached_property
    def sizes(self) -> set[tuple[int, int]]:
        """Every (height, width) that there is."""
        return {(file.height, file.width) for files in self.files.values() for file in files}

    @property
    def available(self) -> dict[str, int]:
        return {split: len(files) for split, files in self.files.items()}

    @property
    def folder(self) -> str:
        return self.name

    def cut(self, fraction: float) -> Cut:
        files, share = by_class(self.name, self.classes, self.files, fraction)
        source = dataclasses.replace(self, files=files)
        parts = cut(source.name, source.available, fraction, share)
        return Cut(source, *parts, "" if share is None else ", of each class alike")

    def encoded(self, part: Part) -> tf.data.Dataset:
        files = self.files[part.split][part.start : part.stop]
        # Paths and not what is in the files: thousands of photos wait in the window of a shuffle.
        image = {
            "path": [str(file.path) for file in files],
            "transparent": [file.transparent for file in files],
            "orientation": [file.orientation for file in files],
        }
        labels = tf.constant([file.label for file in files], tf.int64)
        return tf.data.Dataset.from_tensor_slices((image, labels))

    def pixels(self, encoded: Any) -> tf.Tensor:
        content = tf.io.read_file(encoded["path"])
        return decode_file(content, encoded["transparent"], encoded["orientation"])


def open_folder(folder: Path, image_size: tuple[int, int] | None) -> FolderSource:
    """Return the images of a folder, read as RGB, in the order of TFDS's `ImageFolder`.

    Every image is decoded once, so that a file that is no image, is cut short or of another size
    is known before the training starts, and not when it ends with the first look at `test`.

    Args:
        folder: A folder with one folder per class, which holds JPEG and PNG files; or with `train`,
            and possibly `test` and `validation` (or `val`, `valid`, `dev`), each of that form.
        image_size: (height, width) that the images will be resized to, or None to take them as
            they are.

    Raises:
        ValueError: If the folder is not of that layout, has an empty split, has classes that are
            not in `train` or whose names cannot be labels or images that are in no class, holds a
            file that is no JPEG or PNG image or whose path is not UTF-8, or images of several sizes
            while `image_size` is None.
    """
    if not folder.is_dir():
        raise ValueError(
            f"A folder of images was asked for, and there is none. Received: {str(folder)!r}. "
            f"Expected: {_LAYOUT}."
        )
    places = _places(folder)
    check_class_names(
        sorted({name for place in places.values() for name in _visible_folders(place)}),
        repr(str(folder)),
        "Rename or merge the folders of these classes.",
    )
    files = {split: _by_class(place, SUFFIXES) for split, place in places.items()}
    for split in ("train", *({"test"} & files.keys())):
        if not any(files.get(split, {}).values()):
            raise ValueError(
                f"The folder of images has no images of split {split!r}. Received: "
                f"{str(folder)!r} with sub-folders {_visible_folders(folder)}"
                f"{_not_read(places.get(split, folder), folder)}. Expected: {_LAYOUT}."
            )
    empty = sorted(name for name, images in files["train"].items() if not images)
    unseen = sorted({name for classes in files.values() for name in classes} - set(files["train"]))
    if empty or unseen:
        raise ValueError(
            f"Every class must have images in {str(places['train'])!r}. Received: classes without "
            f"any: {empty + unseen}. Add images or remove those folders."
        )
    if folder not in places.values():
        _warn_of_left_out(folder, _loose(folder))
    for place in places.values():
        _refuse_misplaced(place)
        others = _by_class(place, _OTHER_SUFFIXES)
        _warn_of_left_out(place, [path for paths in others.values() for path in paths])
    _refuse_unreadable_names(
        [path for classes in files.values() for paths in classes.values() for path in paths]
    )
    classes = tuple(sorted(files["train"]))
    source = FolderSource(
        str(folder),
        image_size,
        classes,
        {split: _examined(split, images, classes) for split, images in files.items() if images},
    )
    sizes = sorted(source.sizes)
    if image_size is None and len(sizes) > 1:
        raise ValueError(
            "The images must be of one size to form a batch, and `image_size` is None. "
            f"Received: sizes (height, width) {sizes[:4]}"
            f"{' and more' if len(sizes) > 4 else ''} in {str(folder)!r}. Pass "
            "`image_size=(height, width)` to resize them (--image-size 64 on the command line)."
        )
    return source


def _places(folder: Path) -> dict[str, Path]:
    """Return the folder of each split; all is `train` where the folder holds classes alone."""
    names = _visible_folders(folder)
    like_splits = [name for name in names if name.lower() in SPLITS]
    # A class may be called "train", as a vehicle: it holds images and no classes.
    are_classes = set(like_splits) != set(names) and all(
        _loose(folder / name) and not _visible_folders(folder / name) for name in like_splits
    )
    if not like_splits or are_classes:
        return {"train": folder}
    capitals = [name for name in like_splits if name not in SPLITS]
    if capitals:
        raise ValueError(
            f"The folders of splits must be called {', '.join(map(repr, SPLITS))}, in lower case. "
            f"Received: {str(folder)!r} with {capitals}. Rename "
            f"{', '.join(f'{name!r} to {name.lower()!r}' for name in capitals)}."
        )
    _refuse_other_splits(folder, names)
    return {name: folder / name for name in names}


def _not_read(place: Path, folder: Path) -> str:
    """Return which images lie where none are read, or are of kinds that are not read."""
    found = _images_below(place) if place.is_dir() else []
    if not found:
        return ""
    return (
        f", and {len(found)} images that are of other kinds or elsewhere than in the folder of a "
        f"class itself: {_some(found, folder)}. Convert or move them"
    )


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not is_hidden(path))


def _visible_folders(folder: Path) -> list[str]:
    return [path.name for path in _visible(folder) if path.is_dir()]


def _is_like_an_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES | _OTHER_SUFFIXES


def _refuse_other_splits(folder: Path, names: Sequence[str]) -> None:
    other = [name for name in names if name not in SPLITS]
    if other:
        raise ValueError(
            "A folder of images may have the sub-folders 'train', 'test' and one of "
            f"{', '.join(map(repr, VALIDATION_NAMES))}. Received: {str(folder)!r} with "
            f"{other[:5]}{' and more' if len(other) > 5 else ''}, which would not be used. Rename "
            "or remove them."
        )
    validations = [name for name in names if name in VALIDATION_NAMES]
    if len(validations) > 1:
        raise ValueError(
            f"A folder of images may have one validation split. Received: {str(folder)!r} with "
            f"{validations}. Merge or remove them."
        )


def _by_class(split: Path, suffixes: Collection[str]) -> dict[str, list[Path]]:
    return {
        name: [path for path in _visible(split / name) if path.suffix.lower() in suffixes]
        for name in _visible_folders(split)
    }


def _loose(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if _is_like_an_image(path) and not path.is_dir()]


def _refuse_unreadable_names(paths: Sequence[Path]) -> None:
    for path in paths:
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                "TensorFlow reads files whose path is UTF-8, and no others. Received: "
                f"{str(path)!a}. Rename what is not."
            ) from error


def _refuse_misplaced(split: Path) -> None:
    found = _loose(split)
    for name in _visible_folders(split):
        for path in _visible(split / name):
            if not _is_like_an_image(path) and path.is_dir():
                found += _images_below(path)
    if found:
        raise ValueError(
            "The images of a class must lie in <split>/<class>/ itself. Received: "
            f"{len(found)} images elsewhere in {str(split)!r}, {_some(found, split)}, which would "
            "not be used. Move or remove them."
        )


def _images_below(folder: Path) -> list[Path]:
    found = []
    for path in _visible(folder):
        if _is_like_an_image(path):
            found.append(path)
        elif path.is_dir() and not path.is_symlink():  # a link may lead round in a circle
            found += _images_below(path)
    return found


def _warn_of_left_out(folder: Path, paths: Sequence[Path]) -> None:
    if paths:
        warnings.warn(
            f"{len(paths)} images in {str(folder)!r} are left out, {_some(paths, folder)}: only "
            f"{sorted(SUFFIXES)} files in <split>/<class>/ are read. Convert or move the others.",
            stacklevel=5,
        )


def _some(paths: Sequence[Path], folder: Path) -> str:
    names = [path.relative_to(folder).as_posix() for path in paths[:_NAMED]]
    return f"{names}{' and more' if len(paths) > _NAMED else ''}"


def _examined(
    split: str, images: Mapping[str, Sequence[Path]], classes: Sequence[str]
) -> list[ImageFile]:
    labels = {name: label for label, name in enumerate(classes)}
    labelled = [(path, labels[name]) for name, paths in images.items() for path in paths]
    random.Random(split).shuffle(labelled)  # as TFDS's ImageFolder does
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside of Python's lock.
        return list(pool.map(_image_file, *zip(*labelled, strict=True))) if labelled else []


def _image_file(path: Path, label: int) -> ImageFile:
    try:
        picture = open_picture(path, _FORMATS)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            "A file in the folder of images cannot be read as an image, JPEG or PNG whatever its "
            f"name. Received: {str(path)!r}: {reason}. Repair or remove it."
        ) from error
    return ImageFile(path, label, *picture.size, picture.transparent, picture.orientation)
