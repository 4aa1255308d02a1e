"""Refuse data without a batch, which Keras trains on without a word."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


def empty_message(argument: str) -> str:
    """Return the text of the error for an empty argument."""
    return (
        f"`{argument}` is empty: a dataset with at least one batch was expected. Received: "
        f"{argument} with 0 examples. Check the split, the filters and `drop_remainder`, which "
        "drops everything when there are fewer examples than one batch."
    )


def refuse_empty(argument: str, data: Any) -> None:
    """Raise `ValueError` if `data` is known to hold no example before it is read."""
    if isinstance(data, tf.data.Dataset):
        empty = bool(data.cardinality() == 0)
    elif isinstance(data, (list, tuple)) and data and isinstance(data[0], tf.data.Dataset):
        return
    else:
        arrays = keras.tree.flatten(data)
        empty = any(
            len(getattr(array, "shape", ())) > 0 and array.shape[0] == 0 for array in arrays
        )
    if empty:
        raise ValueError(empty_message(argument))
