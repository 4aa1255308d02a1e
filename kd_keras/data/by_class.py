"""Cut validation and test off from the training images of a folder: of each class alike."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from kd_keras.data.splits import missing_splits

if TYPE_CHECKING:
    from kd_keras.data.folder import FolderSource, ImageFile

_NAMED = 5


def by_class(source: FolderSource, fraction: float) -> tuple[FolderSource, int | None]:
    """Return a folder of images whose end of `train` holds the same share of each class.

    The order of images is otherwise as it was, and so a function of their names alone.

    Args:
        source: The folder.
        fraction: Share of each class that is to be cut off for each split that is missing; of no
            class less than one image.

    Returns:
        The folder, and how many images are to be cut off for each missing split; None where none
        is missing.

    Raises:
        ValueError: If a class has so few images that none would be left for training.
    """
    splits = missing_splits(source.files)
    if splits == 0:
        return source, None
    count = Counter(file.label for file in source.files["train"])
    shares = {label: max(1, round(images * fraction)) for label, images in count.items()}
    short = [label for label in sorted(count) if count[label] <= splits * shares[label]]
    if short:
        told = [f"{count[label]} of {source.classes[label]!r}" for label in short[:_NAMED]]
        needed = "validation and test are" if splits == 2 else "validation is"
        raise ValueError(
            f"Every class must have at least {splits + 1} images in {source.name!r} where "
            f"{needed} cut off from them, and more than that share of them for training. Received: "
            f"{', '.join(told)}{' and more' if len(short) > _NAMED else ''}, with "
            f"validation_fraction={fraction:g}. Add images, or lay out splits of your own: "
            "train/<class>/, validation/<class>/ and test/<class>/."
        )
    parts: list[list[ImageFile]] = [[] for _ in range(splits + 1)]
    seen: dict[int, int] = defaultdict(int)
    # From the end, as that is what is cut off.
    for file in reversed(source.files["train"]):
        parts[min(seen[file.label] // shares[file.label], splits)].append(file)
        seen[file.label] += 1
    train = [file for part in reversed(parts) for file in reversed(part)]
    return dataclasses.replace(source, files={**source.files, "train": train}), sum(shares.values())
