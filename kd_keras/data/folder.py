"""Open a folder of images, one sub-folder per split and class."""

from __future__ import annotations

import warnings
from pathlib import Path

import PIL.Image
import tensorflow_datasets as tfds

from kd_keras.image_files import SUFFIXES

_LAYOUT = (
    "<folder>/train/<class>/*.png and <folder>/test/<class>/*.png, with "
    "<folder>/validation/<class>/*.png if you like (.jpg, .jpeg and .png files)"
)
_IGNORED_IMAGES = {".bmp", ".gif", ".webp", ".tif", ".tiff"}


def open_folder(folder: Path, image_size: tuple[int, int] | None) -> tfds.core.DatasetBuilder:
    """Return TFDS's `ImageFolder` over `folder`, reading RGB.

    Every image's header is read once, so that a file that is no image, or of another size, is
    known before the training starts.

    Args:
        folder: A folder with `train` and `test`, and possibly `validation` (or `val`), each with
            one folder per class.
        image_size: (height, width) that the images will be resized to, or None to take them as
            they are.

    Raises:
        ValueError: If the folder is not of that layout, has an empty split, has classes that are
            not in `train`, holds a file that is no image, or images of several sizes while
            `image_size` is None.
    """
    if not folder.is_dir():
        raise ValueError(
            f"A folder of images was asked for, and there is none. Received: {str(folder)!r}. "
            f"Expected: {_LAYOUT}."
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
    sizes = _sizes(
        [path for classes in files.values() for paths in classes.values() for path in paths]
    )
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


def _sizes(paths: list[Path]) -> set[tuple[int, int]]:
    sizes = set()
    for path in paths:
        try:
            with PIL.Image.open(path) as image:
                sizes.add((image.height, image.width))
        except OSError as error:
            raise ValueError(
                f"A file in the folder of images cannot be read as an image. Received: "
                f"{str(path)!r} ({error}). Repair or remove it."
            ) from error
    return sizes
