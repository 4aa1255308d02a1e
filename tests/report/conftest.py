"""These tests are many and short: they do without clearing the Keras session after each."""

from __future__ import annotations

import keras
import pytest

from kd_keras.evaluate import Examination, Fidelity, Reliability, Robustness, TrainingScores
from kd_keras.evaluate.corruptions import CORRUPTIONS
from kd_keras.report import Report, ResultRow


@pytest.fixture(autouse=True)
def _fresh_seeds():
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def report() -> Report:
    """A report with something in every part of it."""
    return Report(
        title="digits & <b>friends</b>",
        command="kd-keras distill digits --name '<script>alert(1)</script>'",
        recipe={"epochs": 3, "temperature": 4.0, "policy": "digits", "data_dir": None},
        rows=(
            ResultRow("teacher", accuracy=0.9833, parameters=274_442, bytes=1_104_452),
            ResultRow("student alone", 0.9472, 0.951, 8010),
            ResultRow("distilled, int8 .tflite", 0.9639, 0.969, 8010, 13_312, 0.00567),
        ),
        histories={
            "teacher": {"loss": [2.0, 1.0], "accuracy": [0.2, 0.7], "val_accuracy": [0.3, 0.6]},
            "student <i>": {"loss": [2.5, float("nan")], "val_accuracy": [0.1, 0.5]},
        },
        environment={"python": "3.11.2", "keras": "3.15.1"},
        seconds={"teacher": 44.25, "distilled": 61.0},
    )


def _examination(shift: float, attacked: bool) -> Examination:
    left_out = {} if attacked else {"attacks": "no gradient"}
    return Examination(
        examples=20,
        accuracy=0.5 + shift,
        cross_entropy=1.25,
        calibration_error=0.1 + shift,
        brier_score=0.375,
        reliability=Reliability((None, 0.55, 0.95), (None, 0.5 + shift, 1.0), (0, 16, 4)),
        precision=(0.5 + shift, None),
        recall=(1.0, 0.0),
        class_examples=(12, 8),
        confusions=((0, 0, 12), (1, 0, 8)),
        fidelity=Fidelity(20, 0.75, 0.125),
        fidelity_on_views=Fidelity(16, 0.625, 0.5 + shift),
        training=TrainingScores(20, 0.875, 0.25),
        robustness=Robustness(
            examples=16,
            severities=(1, 3, 5),
            corruption_errors={name: (0.25, 0.5 + shift, 0.75) for name in CORRUPTIONS},
            rotations=((-30.0, 0.25), (0.0, 0.5 + shift), (30.0, 0.125)),
            scales=((0.5, 0.25), (1.0, 0.5 + shift)),
            fgsm=0.375 if attacked else None,
            pgd=0.25 if attacked else None,
            left_out=left_out,
        ),
    )


@pytest.fixture(scope="session")
def examined_report() -> Report:
    """A report whose models went through everything; the last one is a file."""
    return Report(
        title="digits",
        command="kd-keras distill digits",
        rows=tuple(
            ResultRow(name, 0.5 + shift, mce=1 + shift, examination=_examination(shift, attacked))
            for name, shift, attacked in (
                ("teacher <b>", 0.25, True),
                ("student alone", 0.0, True),
                ('file, "int8"', 0.125, False),
            )
        ),
        classes=("zero", "<one>"),
        baseline="student alone",
    )
