"""What an export returns: the file, and how far it is from the Keras student."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kd_keras.export.presets import Quantization


@dataclass(frozen=True)
class OutputDifference:
    """How one output of the file compares with the same output of the Keras student.

    Attributes:
        name: The output's name in the file's signature.
        largest: Largest absolute difference over all verified values.
        mean: Mean absolute difference.
        agreement: Share of positions, 0..1, whose largest class is the same in both; None where the
            output has fewer than two classes.
        error: The mean absolute difference as a share of the mean absolute deviation of the
            student's output from its own mean.
    """

    name: str
    largest: float
    mean: float
    agreement: float | None
    error: float = 0.0


@dataclass(frozen=True)
class ExportResult:
    """A written and verified `.tflite` file.

    Attributes:
        path: Where the file is.
        quantization: The preset that made it.
        bytes: Its size.
        sha256: Its SHA-256 digest, hexadecimal.
        examples: How many examples it was verified on.
        outputs: The comparison, output by output.
        float_operators: Names of the operators that calculate in floating point, without the
            conversions at the border. Empty for a fully integer file.
        kept_float: What was kept in float32 because the agreement needs it, in order, as
            "OPERATOR name".
        stored_weights: How many weights the file holds in each dtype, without biases: a dynamic
            file keeps small kernels in float32.
        runs_on: The processors and delegates of a phone that the preset is meant for.
        minimum_runtime_version: The first TensorFlow Lite with all of its operators, as the
            converter wrote it into the file, or a later one that the preset's kernels need.
    """

    path: Path
    quantization: Quantization
    bytes: int
    sha256: str
    examples: int
    outputs: tuple[OutputDifference, ...]
    float_operators: tuple[str, ...]
    runs_on: str
    minimum_runtime_version: str | None
    kept_float: tuple[str, ...] = ()
    stored_weights: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def largest_difference(self) -> float:
        """Largest absolute difference from the Keras student, over all outputs."""
        return max(output.largest for output in self.outputs)

    @property
    def mean_difference(self) -> float:
        """Mean absolute difference of the output where it is largest."""
        return max(output.mean for output in self.outputs)

    @property
    def agreement(self) -> float | None:
        """Top-1 agreement with the Keras student, of the output where it is lowest."""
        known = [output.agreement for output in self.outputs if output.agreement is not None]
        return min(known) if known else None
