"""Cut validation and test off from the training images of a folder: of each class alike."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from kd_keras.data.splits import missing_splits

_NAMED = 5


class _Labelled(Protocol):
    @property
    def label(self) -> int: ...


_File = TypeVar("_File", bound=_Labelled)


def by_class(
    name: str, classes: Sequence[str], files: Mapping[str, Sequence[_File]], fraction: float
) -> tuple[Mapping[str, Sequence[_File]], int | None]:
    """Return the files of a folder so that the end of `train` holds the same share of each class.

    Their order is otherwise as it was, and so a function of their names alone.

    Args:
        name: The folder, for errors.
        classes: Name of each class, by label.
        files: Those of each split.
        fraction: Share of each class that is to be cut off for each split that is missing; of no
            class less than one image.

    Returns:
        The files, and how many images are to be cut off for each missing split; None where none
        is missing.

    Raises:
        ValueError: If a class has so few images that none would be left for training.
    """
    splits = missing_splits(files)
    if splits == 0:
        return files, None
    count = Counter(file.label for file in files["train"])
    shares = {label: max(1, round(images * fraction)) for label, images in count.items()}
    short = [label for label in sorted(count) if count[label] <= splits * shares[label]]
    if short:
        told = [f"{count[label]} of {classes[label]!r}" for label in short[:_NAMED]]
        needed = "validation and test are" if splits == 2 else "validation is"
        raise ValueError(
            f"Every class must have at least {splits + 1} images in {name!r} where "
            f"{needed} cut off from them, and more than that share of them for training. Received: "
            f"{', '.join(told)}{' and more' if len(short) > _NAMED else ''}, with "
            f"validation_fraction={fraction:g}. Add images, or lay out splits of your own: "
            "train/<class>/, validation/<class>/ and test/<class>/."
        )
    parts: list[list[_File]] = [[] for _ in range(splits + 1)]
    seen: dict[int, int] = defaultdict(int)
    # From the end, as that is what is cut off.
    for file in reversed(files["train"]):
        parts[min(seen[file.label] // shares[file.label], splits)].append(file)
        seen[file.label] += 1
    train = [file for part in reversed(parts) for file in reversed(part)]
    return {**files, "train": train}, sum(shares.values())
