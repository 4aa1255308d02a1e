"""Measures of a class for every pixel: overlap of regions, and where their borders are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from kd_keras.arguments import check_integer
from kd_keras.evaluate.arrays import as_classes, as_logits


@dataclasses.dataclass(frozen=True)
class SegmentationScores:
    """How well label maps are found. Pixels of all images count alike; ignored ones do not count.

    Attributes:
        pixels: How many pixels counted.
        pixel_accuracy: Share of them that got their class, 0..1.
        iou: Intersection over union of each class, 0..1; None where the class is neither in the
            labels nor among what was given.
        dice: Dice coefficient of each class, 0..1, None as for `iou`.
        boundary_error: As `boundary_error` gives it, 0..1; None where there is no boundary at all.
    """

    pixels: int
    pixel_accuracy: float
    iou: tuple[float | None, ...]
    dice: tuple[float | None, ...]
    boundary_error: float | None

    @property
    def mean_iou(self) -> float:
        """Mean intersection over union (mIoU) of the classes that there are, 0..1."""
        return float(np.mean([value for value in self.iou if value is not None]))

    @property
    def mean_dice(self) -> float:
        """Mean Dice coefficient of the classes that there are, 0..1."""
        return float(np.mean([value for value in self.dice if value is not None]))

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> SegmentationScores:
        """Return what `dataclasses.asdict` and JSON made a dict of."""
        return cls(**{**fields, "iou": tuple(fields["iou"]), "dice": tuple(fields["dice"])})


def segmentation_scores(
    logits: Any, labels: Any, ignored: int | None = None, tolerance: int = 2
) -> SegmentationScores:
    """Return overlap, accuracy and boundary error of logits for every pixel.

    ```
    IoU_c  = |given c and labelled c| / |given c or labelled c|
    Dice_c = 2 * |given c and labelled c| / (|given c| + |labelled c|)
    ```

    Args:
        logits: Scores `(images, height, width, classes)`; one channel is the logit of a binary
            class.
        labels: Class ids `(images, height, width)`, a last axis of one is allowed, or one-hot
            labels of the shape of the logits.
        ignored: The label of pixels that do not count; None if all do.
        tolerance: As for `boundary_error`.

    Raises:
        ValueError: If shapes do not fit, a label is out of range, a score is NaN, or no pixel
            counts.

    Example:

    >>> import numpy as np
    >>> from kd_keras.evaluate import segmentation_scores
    >>> given = np.array([[[0, 1, 1, 1]]])  # one image, one row
    >>> scores = segmentation_scores(np.eye(2)[given], [[[0, 0, 1, 1]]])
    >>> scores.pixel_accuracy, scores.iou, scores.mean_dice
    (0.75, (0.5, 0.6666666666666666), 0.7333333333333334)

    Reference: Everingham et al., "The Pascal Visual Object Classes (VOC) Challenge", International
    Journal of Computer Vision 88, 2010; Dice, "Measures of the Amount of Ecologic Association
    Between Species", Ecology 26(3), 1945.
    """
    given, truth, counted, classes = _maps(logits, labels, ignored)
    pairs = truth[counted] * classes + given[counted]
    confusion = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    hits = np.diag(confusion)
    sizes = confusion.sum(axis=0) + confusion.sum(axis=1)
    return SegmentationScores(
        pixels=int(counted.sum()),
        pixel_accuracy=float(hits.sum() / counted.sum()),
        iou=_ratios(hits, sizes - hits),
        dice=_ratios(2 * hits, sizes),
        boundary_error=_boundary_error(given, truth, counted, tolerance),
    )


def boundary_error(
    logits: Any, labels: Any, ignored: int | None = None, tolerance: int = 2
) -> float | None:
    """Return how much of the borders between regions is misplaced, missed or made up.

    ```
    precision = share of the borders found that have a true one within `tolerance` pixels
    recall    = share of the true borders that have a found one within `tolerance` pixels
    boundary error = 1 - 2 * precision * recall / (precision + recall)
    ```

    A pixel is on a border if one beside it, in its row or its column, has another class. Distances
    are those of a chess king. Borders of all images count alike.

    Args:
        logits: As for `segmentation_scores`.
        labels: As for `segmentation_scores`.
        ignored: The label of pixels that do not count: neither they nor borders with them.
        tolerance: Largest distance in pixels, 0 to 1000.

    Returns:
        A number from 0 to 1; None where neither has a border.

    Raises:
        ValueError: As `segmentation_scores`.

    Example:

    >>> import numpy as np
    >>> from kd_keras.evaluate import boundary_error
    >>> given = np.array([[[0, 1, 1, 1, 1, 1]]])  # a border after the first pixel
    >>> labels = [[[0, 0, 0, 0, 1, 1]]]  # the true one is after the fourth
    >>> boundary_error(np.eye(2)[given], labels), boundary_error(np.eye(2)[given], labels, None, 3)
    (0.5, 0.0)

    Reference: Csurka et al., "What is a good evaluation measure for semantic segmentation?", BMVC
    2013 (the complement of its boundary F1 measure).
    """
    given, truth, counted, _ = _maps(logits, labels, ignored)
    return _boundary_error(given, truth, counted, tolerance)


def _maps(
    logits: Any, labels: Any, ignored: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Return the classes given, those labelled, which pixels count, and the number of classes."""
    scores = as_logits(logits)
    if scores.ndim != 4:
        raise ValueError(
            "`logits` must have the shape (images, height, width, classes). Received: shape "
            f"{np.shape(logits)}. For one label per image use kd_keras.evaluate.accuracy."
        )
    values = np.asarray(labels)
    counted = np.ones(scores.shape[:-1], bool)
    if ignored is not None and values.shape in (counted.shape, (*counted.shape, 1)):
        counted = (values != ignored).reshape(counted.shape)
        values = np.where(values == ignored, 0, values)
    if not counted.any():
        raise ValueError(
            f"`labels` must hold a pixel that counts. Received: all are ignored={ignored}"
        )
    return scores.argmax(axis=-1), as_classes(values, scores), counted, scores.shape[-1]


def _ratios(parts: np.ndarray, wholes: np.ndarray) -> tuple[float | None, ...]:
    return tuple(
        float(part / whole) if whole else None for part, whole in zip(parts, wholes, strict=True)
    )


def _boundary_error(
    given: np.ndarray, truth: np.ndarray, counted: np.ndarray, tolerance: Any
) -> float | None:
    tolerance = check_integer("tolerance", tolerance, 0, 1000)
    found, true = _borders(given, counted), _borders(truth, counted)
    if not (found.any() or true.any()):
        return None
    right = (found & _widened(true, tolerance)).sum() / max(found.sum(), 1)
    recalled = (true & _widened(found, tolerance)).sum() / max(true.sum(), 1)
    return float(1 - 2 * right * recalled / (right + recalled)) if right + recalled else 1.0


def _borders(maps: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Return the pixels beside which another class begins, where both count."""
    borders = np.zeros(maps.shape, bool)
    for axis in (1, 2):
        here, there = (_cut(maps.ndim, axis, side) for side in (slice(-1), slice(1, None)))
        step = (maps[here] != maps[there]) & counted[here] & counted[there]
        borders[here] |= step
        borders[there] |= step
    return borders


def _widened(borders: np.ndarray, distance: int) -> np.ndarray:
    """Return the pixels within a distance of the borders, along rows and then along columns."""
    for axis in (1, 2):
        wide = borders.copy()
        for step in range(1, min(distance, borders.shape[axis] - 1) + 1):
            here, there = (_cut(3, axis, side) for side in (slice(-step), slice(step, None)))
            wide[here] |= borders[there]
            wide[there] |= borders[here]
        borders = wide
    return borders


def _cut(dimensions: int, axis: int, side: slice) -> tuple[slice, ...]:
    return tuple(side if index == axis else slice(None) for index in range(dimensions))
