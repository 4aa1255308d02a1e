"""The numbers of the examples, for losses with a memory: out of x, and checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kd_keras.graph_errors import MARKER
from kd_keras.step.objective import Term

KEY = "sample_index"


def split(x: Any, terms: Sequence[Term], student: Any) -> tuple[Any, Any]:
    """Return (inputs of the networks, numbers of the examples or `None`).

    Args:
        x: Inputs; numbers are looked for where a loss asks for them and x is a dict.
        terms: The distillation losses.
        student: The student, which may take a dict itself. If not, the one input that is left comes
            out of its dict.
    """
    if not isinstance(x, dict) or KEY not in x or not any(KEY in term.inputs for term in terms):
        return x, None
    rest = {name: value for name, value in x.items() if name != KEY}
    if len(rest) == 1 and not isinstance(getattr(student, "_inputs_struct", None), dict):
        (rest,) = rest.values()
    return rest, x[KEY]


def assert_in_range(index: Any, terms: Sequence[Term]) -> list[Any]:
    """Return assertions (to be used as control dependencies) that the numbers are in the memory."""
    checks = []
    for term in terms:
        samples = getattr(term.loss, "samples", None)
        if index is None or KEY not in term.inputs or samples is None:
            continue
        numbers = tf.cast(index, tf.int64)
        checks.append(
            tf.debugging.Assert(
                tf.reduce_all(tf.logical_and(numbers >= 0, numbers < samples)),
                [
                    f"{MARKER}sample_index out of range: {type(term.loss).__name__} was built for "
                    f"samples={samples}, so numbers must be 0..{samples - 1}. Number the training "
                    "examples from 0, or raise `samples`. Received: smallest and largest number",
                    tf.reduce_min(numbers),
                    tf.reduce_max(numbers),
                ],
            )
        )
    return [check for check in checks if check is not None]
