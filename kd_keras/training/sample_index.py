"""The numbers of the examples, for who asks: out of x, and checked for losses with a memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kd_keras.compat.structure import takes_dict
from kd_keras.graph_errors import MARKER
from kd_keras.training.batch import SAMPLE_INDEX, Batch
from kd_keras.training.plugin import Plugin
from kd_keras.training.term import Term


class SampleIndex(Plugin):
    """Take the numbers out of a dict x, where a loss asks for them.

    Args:
        terms: The distillation losses.
        student: The student, which may take a dict itself. If not, the one input that is left comes
            out of its dict.
        wanted: Whether the teacher asks for them.
    """

    def __init__(self, terms: Sequence[Term], student: Any, wanted: bool = False):
        self._student = student
        self._memories = [
            (type(term.loss).__name__, getattr(term.loss, "samples", None))
            for term in terms
            if SAMPLE_INDEX in term.inputs
        ]
        self._wanted = wanted or bool(self._memories)

    def accept(self, batch: Batch, step: Any) -> tuple[Batch, list[Any]]:
        if not self._wanted or not isinstance(batch.x, dict) or SAMPLE_INDEX not in batch.x:
            return batch, []
        rest: Any = {name: value for name, value in batch.x.items() if name != SAMPLE_INDEX}
        if len(rest) == 1 and not takes_dict(self._student):
            (rest,) = rest.values()
        index = batch.x[SAMPLE_INDEX]
        checks = [] if step is None else self._assert_in_range(index)
        return batch._replace(x=rest).with_extras(**{SAMPLE_INDEX: index}), checks

    def _assert_in_range(self, index: Any) -> list[Any]:
        numbers = tf.cast(index, tf.int64)
        checks = [
            tf.debugging.Assert(
                tf.reduce_all(tf.logical_and(numbers >= 0, numbers < samples)),
                [
                    f"{MARKER}sample_index out of range: {name} was built for "
                    f"samples={samples}, so numbers must be 0..{samples - 1}. Number the training "
                    "examples from 0, or raise `samples`. Received: smallest and largest number",
                    tf.reduce_min(numbers),
                    tf.reduce_max(numbers),
                ],
            )
            for name, samples in self._memories
            if samples is not None
        ]
        return [check for check in checks if check is not None]
