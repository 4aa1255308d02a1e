"""Which way a metric is better, where Keras's callbacks look for it.

Keras 3.12 to 3.15, keras/src/callbacks/monitor_callback.py: with mode="auto" the direction of a
monitored metric is read from its `_direction`, and of metrics inside a `MetricsList` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras.src.trainers.compile_utils import MetricsList


class Directions(MetricsList):
    """Stands among a model's metrics, and has no state and no result of its own.

    Args:
        better: By metric, whether "up" or "down" is better.
    """

    def __init__(self, better: Mapping[Any, str]):
        super().__init__([], name="directions")
        for metric, direction in better.items():
            metric._direction = direction
        # Plain, so that Keras does not count the variables of these metrics twice.
        object.__setattr__(self, "metrics", tuple(better))

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: whoever owns the metrics updates them."""

    def reset_state(self) -> None:
        """Do nothing, likewise."""

    def result(self) -> dict[str, Any]:
        """Return nothing to be logged."""
        return {}
