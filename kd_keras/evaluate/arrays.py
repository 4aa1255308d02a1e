"""Check logits and labels, and bring labels of every form to one."""

from __future__ import annotations

from typing import Any

import numpy as np


def as_logits(values: Any, argument: str = "logits") -> np.ndarray:
    """Return float64 class scores `(..., classes)` with at least two classes.

    One output unit is read as the logit of a binary class, that is as the two scores [0, logit].

    Raises:
        ValueError: If the array is empty, not numeric, not finite or has no class axis.
    """
    logits = np.asarray(values)
    if logits.dtype.kind not in "fiu" and logits.dtype.name != "bfloat16":
        raise ValueError(
            f"`{argument}` must be an array of real numbers, one score per class. "
            f"Received: dtype {logits.dtype}, shape {logits.shape}"
        )
    if logits.ndim < 2 or logits.size == 0:
        raise ValueError(
            f"`{argument}` must have the shape (examples, classes), or (examples, ..., classes) "
            f"for dense outputs, with at least one example. Received: shape {logits.shape}"
        )
    logits = logits.astype("float64")
    if np.isnan(logits).any() or np.isposinf(logits).any():
        raise ValueError(
            f"`{argument}` must not hold NaN or +inf: the model that gave them has diverged. "
            f"Received: {int(np.isnan(logits).sum())} NaN of {logits.size} values"
        )
    if logits.shape[-1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=-1)
    return logits


def as_classes(labels: Any, logits: np.ndarray) -> np.ndarray:
    """Return integer class ids of shape `logits.shape[:-1]`.

    Args:
        labels: Class ids of shape `logits.shape[:-1]`, with or without a last axis of one, or
            one-hot or soft labels of the shape of the logits; of these the largest share counts.
        logits: Checked class scores.

    Raises:
        ValueError: If the shape fits neither form, an id is out of range or not whole, or dense
            labels do not sum to one.
    """
    values = np.asarray(labels)
    positions = logits.shape[:-1]
    classes = logits.shape[-1]
    if values.shape in (positions, (*positions, 1)):
        values = values.reshape(positions)
        if values.dtype.kind not in "iub" and not np.array_equal(values, np.round(values)):
            raise ValueError(
                "`labels` of this shape are class ids and must be whole numbers. "
                f"Received: dtype {values.dtype} with fractional values"
            )
        least, most = values.min(), values.max()
        if least < 0 or most >= classes:
            raise ValueError(
                f"`labels` must be class ids from 0 to {classes - 1}, because the logits have "
                f"{classes} classes. Received: ids from {least} to {most}"
            )
        return values.astype("int64")
    if values.shape == logits.shape:
        if values.min() < 0 or not np.allclose(values.sum(axis=-1), 1, atol=1e-3):
            raise ValueError(
                "`labels` of the shape of the logits are one-hot or soft labels and must be >= 0 "
                f"and sum to 1. Received: rows that sum to {values.sum(axis=-1).min():g} at least"
            )
        return values.argmax(axis=-1)
    raise ValueError(
        f"`labels` must be class ids of shape {positions} (a last axis of one is allowed) or "
        f"one-hot labels of shape {logits.shape}. Received: shape {values.shape}"
    )


def counted(logits: Any, labels: Any, ignored: int | None) -> tuple[Any, Any]:
    """Return the logits and labels of the positions that count, one row each, or all as they are.

    Args:
        logits: Scores `(examples, ..., classes)`.
        labels: Class ids of shape `logits.shape[:-1]`, where `ignored` is given.
        ignored: The label of positions that do not count; None if all do.
    """
    if ignored is None:
        return logits, labels
    kept = np.asarray(labels) != ignored
    return np.asarray(logits)[kept], np.asarray(labels)[kept]


def refuse_probabilities(logits: np.ndarray, argument: str = "logits") -> None:
    """Raise when every row is a distribution already: a softmax of it would be silently wrong."""
    if logits.min() >= 0 and np.allclose(logits.sum(axis=-1), 1, atol=1e-5):
        raise ValueError(
            f"`{argument}` must be logits, but every row is >= 0 and sums to 1, as the output of a "
            "softmax does. Pass np.log(np.maximum(probabilities, 1e-7)) instead."
        )


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return the logarithms of the probabilities that checked class scores stand for."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
