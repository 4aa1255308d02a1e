"""Open a folder of images, one sub-folder per split and class."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import PIL.Image
import tensorflow_datasets as tfds

from kd_keras.class_names import check_class_names
from kd_keras.data.splits import VALIDATION_NAMES
from kd_keras.image_files import SUFFIXES

_LAYOUT = (
    "<folder>/train/<class>/*.png and <folder>/test/<class>/*.png, with "
    "<folder>/validation/<class>/*.png if you like (.jpg, .jpeg and .png files)"
)
# As Pillow calls what TensorFlow decodes to one image. MPO is JPEG, as some telephones write it.
_FORMATS = {"JPEG", "MPO", "PNG"}
_IGNORED_IMAGES = {".bmp", ".gif", ".webp", ".tif", ".tiff"}


def open_folder(folder: Path, image_size: tuple[int, int] | None) -> tfds.core.DatasetBuilder:
    """Return TFDS's `ImageFolder` over `folder`, reading RGB.

    Every image is decoded once, so that a file that is no image, is cut short or of another size
    is known before the training starts, and not when it ends with the first look at `test`.

    Args:
        folder: A folder with `train` and `test`, and possibly `validation` (or `val`, `valid`,
            `dev`), each with one folder per class.
        image_size: (height, width) that the images will be resized to, or None to take them as
            they are.

    Raises:
        ValueError: If the folder is not of that layout, has an empty split, has classes that are
            not in `train` or whose names cannot be labels, holds a file that is no JPEG or PNG
            image or whose path is not UTF-8, or images of several sizes while `image_size` is None.
    """
    if not folder.is_dir():
        raise ValueError(
            f"A folder of images was asked for, and there is none. Received: {str(folder)!r}. "
            f"Expected: {_LAYOUT}."
        )
    _refuse_other_splits(folder)
    check_class_names(
        sorted({name for split in _sub_folders(folder) for name in _sub_folders(folder / split)}),
        repr(str(folder)),
        "Rename or merge the folders of these classes.",
    )
    files = {split: _images_by_class(folder / split) for split in sorted(_sub_folders(folder))}
    for split in ("train", "test"):
        if not any(files.get(split, {}).values()):
            raise ValueError(
                f"The folder of images has no images of split {split!r}. Received: "
                f"{str(folder)!r} with sub-folders {sorted(files)}. Expected: {_LAYOUT}."
            )
    empty = sorted(name for name, images in files["train"].items() if not images)
    unseen = sorted({name for classes in files.values() for name in classes} - set(files["train"]))
    if empty or unseen:
        raise ValueError(
            f"Every class must have images in {str(folder / 'train')!r}. Received: classes without "
            f"any: {empty + unseen}. Add images or remove those folders."
        )
    images = [path for classes in files.values() for paths in classes.values() for path in paths]
    _refuse_unreadable_names(images)
    sizes = _sizes(images)
    if image_size is not None:
        return tfds.folder_dataset.ImageFolder(str(folder))
    if len(sizes) > 1:
        raise ValueError(
            "The images must be of one size to form a batch, and `image_size` is None. "
            f"Received: sizes (height, width) {sorted(sizes)[:4]}"
            f"{' and more' if len(sizes) > 4 else ''} in {str(folder)!r}. Pass "
            "`image_size=(height, width)` to resize them."
        )
    return tfds.folder_dataset.ImageFolder(str(folder), shape=(*sizes.pop(), 3))


def is_folder(builder: tfds.core.DatasetBuilder) -> bool:
    """Whether a builder is one that `open_folder` returned."""
    return isinstance(builder, tfds.folder_dataset.ImageFolder)


def _sub_folders(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.is_dir()]


def _refuse_other_splits(folder: Path) -> None:
    names = sorted(_sub_folders(folder))
    other = [name for name in names if name not in ("train", "test", *VALIDATION_NAMES)]
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


def _images_by_class(split: Path) -> dict[str, list[Path]]:
    classes: dict[str, list[Path]] = {}
    ignored = 0
    for name in sorted(_sub_folders(split)):
        paths = sorted((split / name).iterdir())
        classes[name] = [path for path in paths if path.suffix.lower() in SUFFIXES]
        ignored += sum(path.suffix.lower() in _IGNORED_IMAGES for path in paths)
    if ignored:
        warnings.warn(
            f"{ignored} images in {str(split)!r} are left out: only {sorted(SUFFIXES)} files are "
            "read. Convert the others.",
            stacklevel=4,
        )
    return classes


def _refuse_unreadable_names(paths: list[Path]) -> None:
    for path in paths:
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                "TensorFlow reads files whose path is UTF-8, and no others. Received: "
                f"{str(path)!a}. Rename what is not."
            ) from error


def _sizes(paths: list[Path]) -> set[tuple[int, int]]:
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside of Python's lock.
        return set(pool.map(_size, paths))


def _size(path: Path) -> tuple[int, int]:
    try:
        with PIL.Image.open(path) as image:
            if image.format not in _FORMATS:
                raise ValueError(
                    "A .jpg, .jpeg or .png file in the folder of images must be a JPEG or PNG "
                    f"image, whatever its name. Received: {str(path)!r}, which is "
                    f"{image.format}. Convert or remove it."
                )
            # Only the whole image shows whether its end is there.
            image.load()
            return image.height, image.width
    # Pillow raises SyntaxError for a damaged PNG, and refuses a decompression bomb by an exception
    # of its own.
    except (OSError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise ValueError(
            f"A file in the folder of images cannot be read as an image. Received: "
            f"{str(path)!r} ({error}). Repair or remove it."
        ) from error
