"""A converted file as it is written beside its place, run, and where it must be, made again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from kd_keras.export.examples import Examples
from kd_keras.export.interpreter import UnloadableError
from kd_keras.export.judging import SILENT, Bar, refusal, warn_of_random
from kd_keras.export.result import OutputDifference
from kd_keras.export.runtime import LiteModel
from kd_keras.export.selective import (
    Kept,
    dynamic_behind_a_float_front,
    int8_behind_a_float_front,
    warn_of_front,
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

    def settled(
        self,
        student: keras.Model,
        content: bytes,
        representative: Mapping[str, np.ndarray] | None,
        *,
        is_random: bool,
        in_float: bool,
    ) -> tuple[tuple[OutputDifference, ...], tuple[str, ...]]:
        """Write the file, or where it misses its bar one with a front end in float32.

        Args:
            student: The student.
            content: The converter's file.
            representative: The calibration examples of an int8 file.
            is_random: Whether the verification data are random and only warn.
            in_float: Whether the first operators can calculate in float32 at all: whether those of
                an integer file take and give it.

        Returns:
            How its outputs differ, and the names of the operators that were kept in float32.

        Raises:
            ValueError: If no file reaches the bar.
        """
        try:
            outputs = self.measure(content)
            missed = self.bar.missed(outputs)
        except UnloadableError:
            if self.bar.quantization != "int8" or representative is None:
                raise
            outputs, missed = None, SILENT
        if outputs is not None and (missed is None or is_random):
            if missed is not None:
                warn_of_random(self.bar.quantization, missed)
            return outputs, ()
        kept = self._with_float_front(student, content, representative) if in_float else None
        if kept is None:
            # The attempts have overwritten it.
            self.beside.write_bytes(self.finished(content))
            model = None if outputs is None else LiteModel(self.beside)
            raise refusal(str(missed), self.bar.quantization, student, model, self.examples)
        if kept.operators:
            warn_of_front(self.bar.quantization, kept.operators)
        return self.measure(kept.content), kept.operators

    def _with_float_front(
        self,
        student: keras.Model,
        content: bytes,
        representative: Mapping[str, np.ndarray] | None,
    ) -> Kept | None:
        def suffices(content: bytes, strictly: bool) -> bool:
            bar = self.bar.stricter() if strictly else self.bar
            try:
                return bar.missed(self.measure(content)) is None
            except UnloadableError:
                return False

        signatures = [signature for signature, _ in self.expected]
        if len(signatures) > 1:
            return None
        if self.bar.quantization == "int8" and representative is not None:
            return int8_behind_a_float_front(signatures, representative, suffices)
        if self.bar.quantization == "dynamic":
            return dynamic_behind_a_float_front(student, signatures, content, suffices)
        return None
