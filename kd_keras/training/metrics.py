"""Compiled metrics that read logits as probabilities, without a word from Keras."""

from __future__ import annotations

import warnings
from typing import Any

import keras

from kd_keras.losses.contract.output_kind import output_kind

_THRESHOLDED = (
    keras.metrics.Precision,
    keras.metrics.Recall,
    keras.metrics.TruePositives,
    keras.metrics.TrueNegatives,
    keras.metrics.FalsePositives,
    keras.metrics.FalseNegatives,
)
_CROSSENTROPIES = (
    keras.metrics.BinaryCrossentropy,
    keras.metrics.CategoricalCrossentropy,
    keras.metrics.SparseCategoricalCrossentropy,
)
_NAMES = {
    "binary_accuracy": "keras.metrics.BinaryAccuracy(threshold=0.0)",
    "binary_crossentropy": "keras.metrics.BinaryCrossentropy(from_logits=True)",
    "categorical_crossentropy": "keras.metrics.CategoricalCrossentropy(from_logits=True)",
    "sparse_categorical_crossentropy": (
        "keras.metrics.SparseCategoricalCrossentropy(from_logits=True)"
    ),
}


def warn_if_logits_meet_probability_metrics(
    metrics: Any, student: Any, kind: str | None = None
) -> None:
    """Warn of each metric that takes the student's logits for probabilities.

    Args:
        metrics: The metrics as given to `compile`, any structure.
        student: The student.
        kind: What its output was found to be, when its graph does not tell.
    """
    if (kind or output_kind(student)) != "logits":
        return
    outputs = getattr(student, "outputs", None) or []
    one_unit = len(outputs) == 1 and outputs[0].shape[-1] == 1
    for metric in keras.tree.flatten(metrics):
        remedy = _remedy(metric, one_unit)
        if remedy is not None:
            shown = repr(metric) if isinstance(metric, str) else type(metric).__name__
            warnings.warn(
                f"The student {student.name!r} returns logits, but the metric {shown} reads "
                f"probabilities: its numbers are wrong. Write `{remedy}` in `compile`.",
                UserWarning,
                stacklevel=4,
            )


def _remedy(metric: Any, one_unit: bool) -> str | None:
    """Return what to write in the place of a metric; `None` where it is right as it is."""
    name = metric if isinstance(metric, str) else getattr(metric, "__name__", "")
    if name in ("accuracy", "acc") and one_unit:
        name = "binary_accuracy"
    if name in _NAMES:
        return _NAMES[name]
    if not isinstance(metric, keras.metrics.Metric):
        return None
    kind, config = type(metric), metric.get_config()
    takes_logits = config.get("from_logits")
    if isinstance(metric, keras.metrics.BinaryAccuracy):
        return _NAMES["binary_accuracy"] if metric.threshold == 0.5 else None
    if isinstance(metric, keras.metrics.Accuracy) and one_unit:
        return _NAMES["binary_accuracy"]
    if isinstance(metric, _CROSSENTROPIES):
        return None if takes_logits else f"keras.metrics.{kind.__name__}(from_logits=True)"
    if isinstance(metric, keras.metrics.AUC):
        return None if takes_logits else "keras.metrics.AUC(from_logits=True)"
    if isinstance(metric, _THRESHOLDED):
        default = config.get("thresholds") is None and config.get("top_k") is None
        return f"keras.metrics.{kind.__name__}(thresholds=0.0)" if default else None
    return None
