"""Every figure of a model that is one number: its name in `report.csv` and on the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kd_keras.evaluate.report import ResultRow


@dataclass(frozen=True)
class Measure:
    """One figure of a model.

    Attributes:
        name: Its column in `report.csv`.
        value: Gives it, or None where it does not apply.
    """

    name: str
    value: Callable[[ResultRow], float | int | None]


def _examined(*path: str) -> Callable[[ResultRow], Any]:
    """Return a function that follows attributes from the examination, as far as there are any."""

    def value(row: ResultRow) -> Any:
        found: Any = row.examination
        for name in path:
            found = None if found is None else getattr(found, name)
        return found

    return value


MEASURES = (
    Measure("accuracy", lambda row: row.accuracy),
    Measure("agreement", lambda row: row.agreement),
    Measure("kl_to_teacher", _examined("fidelity", "kl")),
    Measure("view_agreement", _examined("fidelity_on_views", "agreement")),
    Measure("view_kl_to_teacher", _examined("fidelity_on_views", "kl")),
    Measure("nll", _examined("cross_entropy")),
    Measure("ece", _examined("calibration_error")),
    Measure("brier", _examined("brier_score")),
    Measure("training_accuracy", _examined("training", "accuracy")),
    Measure("training_nll", _examined("training", "cross_entropy")),
    Measure("accuracy_gap", _examined("accuracy_gap")),
    Measure("nll_gap", _examined("cross_entropy_gap")),
    Measure("corruption_error", _examined("robustness", "corruption_error")),
    Measure("mce", lambda row: row.mce),
    Measure("fgsm_accuracy", _examined("robustness", "fgsm")),
    Measure("pgd_accuracy", _examined("robustness", "pgd")),
    Measure("test_examples", _examined("examples")),
    Measure("robustness_examples", _examined("robustness", "examples")),
    Measure("parameters", lambda row: row.parameters),
    Measure("bytes", lambda row: row.bytes),
    Measure("latency_ms", lambda row: row.latency_ms),
)
