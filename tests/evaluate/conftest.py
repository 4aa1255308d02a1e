"""These tests are many and short: they do without clearing the Keras session after each."""

from __future__ import annotations

import keras
import pytest

from kd_keras.evaluate import Report, ResultRow


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
