"""Whether a quantised file still answers as its student does, and what to say where it does not."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kd_keras.export.examples import Examples
from kd_keras.export.layers import LayerDifference, LayerReport, layer_differences
from kd_keras.export.presets import Quantization
from kd_keras.export.result import OutputDifference
from kd_keras.export.runtime import LiteModel

# Of an output that is no class output, and of every output of a float16 file, whose numbers keep
# ten bits: the mean difference as a share of how much the output varies. Measured: int8 files
# that keep their accuracy 0.02 to 0.1, float16 files 0.001.
_MOST_ERROR, _MOST_FLOAT16_ERROR = 0.25, 0.05
_NAMED = 3
_LAYER_EXAMPLES = 64
# An operator that keeps 30 dB, five bits, is not what loses the agreement.
_HARMLESS = 30.0
SILENT = (
    "LiteRT cannot load it, because a layer is silent on the calibration images, and in a range of "
    "no width no bias can be stored"
)


class DisagreementError(ValueError):
    """A quantised file does not answer as its student does; the text says where and what to do.

    Args:
        finding: How it differs, and what might help.
        rest: What became of the file, and how to keep it.
    """

    def __init__(self, finding: str, rest: str = ""):
        super().__init__(f"{finding}{rest}")
        self.finding = finding


@dataclass(frozen=True)
class Bar:
    """What a file must reach on the verification data.

    Attributes:
        quantization: The preset.
        classes: The output with the classes, or None.
        agreement: Least share of the same answers there, 0..1; None where nothing is judged.
        examples: How many examples there are. One may differ however few they are.
    """

    quantization: Quantization
    classes: str | None
    agreement: float | None
    examples: int

    def stricter(self) -> Bar:
        """Return a bar that a quarter of the disagreement misses."""
        if self.agreement is None:
            return self
        return dataclasses.replace(self, agreement=1.0 - 0.25 * (1.0 - self.agreement))

    def missed(self, outputs: Sequence[OutputDifference]) -> str | None:
        """Return how the worst output misses, as the end of a sentence, or None where none does."""
        if self.agreement is None or self.quantization == "none":
            return None
        is_float16 = self.quantization == "float16"
        most = _MOST_FLOAT16_ERROR if is_float16 else _MOST_ERROR
        for output in outputs:
            judged = output.agreement is not None and output.name == self.classes
            if judged and output.agreement is not None:
                allowed = max(1.0 - self.agreement, 1.5 / self.examples)
                if 1.0 - output.agreement > allowed:
                    return (
                        f"output {output.name!r} has the same answer on "
                        f"{100 * output.agreement:.1f} % of {self.examples} examples, and "
                        f"min_agreement={self.agreement:g} is asked"
                    )
            if (is_float16 or not judged) and output.error > most:
                return (
                    f"output {output.name!r} is off by {100 * output.error:.3g} % of its own "
                    f"variation in the mean, and {100 * most:g} % is allowed"
                )
        return None


def refusal(
    missed: str,
    quantization: Quantization,
    student: keras.Model,
    model: LiteModel | None,
    examples: Examples,
) -> DisagreementError:
    """Return the error for a file that misses its bar: which operators lose it, what to do.

    Args:
        missed: How it misses, from `Bar.missed`.
        quantization: The preset.
        student: The Keras student.
        model: The file; None where LiteRT cannot load it.
        examples: The verification data by the names of the inputs.
    """
    remedies = {
        "float16": "Weights or values beyond 65504 do not fit into float16: scale them down in "
        "the student, or choose quantization='none'.",
        "int8": "Choose 'float16' or 'weight_only', let the student learn the rounding "
        "(kd_keras.quantize.quantization_aware), or pass representative_data that show what the "
        "student sees.",
    }
    if model is None:
        # Of bytes at the border no range can be widened.
        remedies["int8"] = (
            "Leave input_dtype and output_dtype out, so that the range can be widened; pass "
            "representative_data on which every layer answers; or choose 'float16'."
        )
    remedy = remedies.get(quantization, "Choose 'float16' or 'weight_only'.")
    return DisagreementError(
        f"The {quantization} file does not answer as `student` does: {missed}. "
        f"{_blame(student, model, examples)}{remedy}",
        " min_agreement=None keeps the file as it is. Nothing was kept.",
    )


def warn_of_random(quantization: str, missed: str) -> None:
    """Say that a file misses its bar on images that may not be what the student sees."""
    warnings.warn(
        f"On random images the {quantization} file does not answer as `student` does: {missed}. "
        "Pass real ones as verification_data=, to know what it loses.",
        UserWarning,
        stacklevel=4,
    )


def warn_of_float(quantization: str, operators: Sequence[str]) -> None:
    """Say which operators of an integer file calculate in float."""
    if operators:
        warnings.warn(
            f"The {quantization} file calculates these operators in float: {', '.join(operators)}. "
            "TFLite has no integer kernel for them; on an integer-only accelerator the file will "
            "not run.",
            UserWarning,
            stacklevel=3,
        )


def _blame(student: keras.Model, model: LiteModel | None, examples: Examples) -> str:
    """Return a sentence that names the operators that lose most by themselves."""
    if model is None or len(examples) != 1 or len(model.signatures) > 1:
        return ""
    (values,) = examples.values()
    try:
        report: LayerReport = layer_differences(model.path, student, values[:_LAYER_EXAMPLES])
    except ValueError:
        return ""  # what matters is the error that this sentence would be a part of
    worst = sorted(report.layers, key=_loss)[:_NAMED]
    named = [_named(layer) for layer in worst if _loss(layer) < _HARMLESS]
    if not named:
        return (
            "No operator loses much by itself, so the student's own answers are close calls: train "
            "it longer, or state a lower min_agreement. "
        )
    return f"The operators that lose most: {', '.join(named)}. "


def _loss(layer: LayerDifference) -> float:
    return math.inf if math.isnan(layer.worse_sqnr) else layer.worse_sqnr


def _named(layer: Any) -> str:
    # The converter joins the names of what it fused.
    return f"{layer.operator} {layer.tensor.split(';')[0]!r} ({layer.worse_sqnr:.1f} dB)"
