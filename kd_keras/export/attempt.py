"""A converted file as it is written beside its place, run, and where it must be, made again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from kd_keras.export.examples import Examples
from kd_keras.export.judging import Bar
from kd_keras.export.result import OutputDifference
from kd_keras.export.runtime import LiteModel
from kd_keras.export.selective import (
    Kept,
    dynamic_behind_a_float_front,
    int8_behind_a_float_front,
)
from kd_keras.export.signature import Signature
from kd_keras.export.verification import verify_signatures


@dataclass(frozen=True)
class Attempt:
    """What a file of a student is measured by.

    Attributes:
        beside: Where the file is written until it is good.
        expected: Each signature with the outputs that it must give, by name.
        examples: The verification data by the names of the inputs.
        bar: What it must reach.
        finished: What is done with the converter's bytes before they are written.
    """

    beside: Path
    expected: Sequence[tuple[Signature, Examples]]
    examples: Examples
    bar: Bar
    finished: Callable[[bytes], bytes]

    def measure(self, content: bytes) -> tuple[OutputDifference, ...]:
        """Write a file and return how its outputs differ from the student's."""
        self.beside.write_bytes(self.finished(content))
        return verify_signatures(
            LiteModel(self.beside), self.expected, self.examples, self.bar.quantization == "none"
        )

    def with_float_front(
        self,
        student: keras.Model,
        content: bytes,
        representative: Mapping[str, np.ndarray] | None,
    ) -> Kept | None:
        """Return the file with as much of its front in float32 as it needs to reach its bar.

        Args:
            student: The student.
            content: The file without such a front.
            representative: The calibration examples of an int8 file.

        Returns:
            What was kept and the file; None where there is no such file.
        """

        def suffices(content: bytes) -> bool:
            return self.bar.missed(self.measure(content)) is None

        signatures = [signature for signature, _ in self.expected]
        if len(signatures) > 1:
            return None
        if self.bar.quantization == "int8" and representative is not None:
            return int8_behind_a_float_front(signatures, representative, suffices)
        if self.bar.quantization == "dynamic":
            return dynamic_behind_a_float_front(student, signatures, content, suffices)
        return None
