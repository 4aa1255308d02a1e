"""The count of training steps."""

from __future__ import annotations

from typing import Any

import keras


def add_step_counter(model: keras.Model) -> Any:
    """Give `model` a weight that counts its steps, and return it.

    Views depend on (seed, step), so the count is a weight: saved, restored, the same in every
    replica, and not the optimizer's count, which skips steps when loss scaling overflows.
    """
    return model.add_weight(
        name="step",
        shape=(),
        dtype="int64",
        initializer="zeros",
        trainable=False,
        autocast=False,
        aggregation="only_first_replica",
    )
