"""The released student does what its card says."""

import hashlib
import re
from pathlib import Path

import keras
import numpy as np
import pytest

from kd_keras import data, evaluate, export
from kd_keras.report import read_report

FOLDER = Path(__file__).parents[2] / "saved_models" / "released"
CARD = (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def rows():
    return {row.name: row for row in read_report(FOLDER / "digits_report.json").rows}


@pytest.fixture(scope="module")
def test_split(tmp_path_factory):
    return data.load("digits", data_dir=tmp_path_factory.mktemp("data")).test


def test_the_files_are_those_of_the_card_and_small():
    sums = dict(re.findall(r"\| `(\S+)` \|.*`([0-9a-f]{64})` \|", CARD))
    assert set(sums) == {"digits_student.keras", "digits_student_int8.tflite"}
    for name, sha256 in sums.items():
        content = (FOLDER / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == sha256
        assert len(content) < 500_000


def test_the_figures_of_the_card_are_those_of_the_report(rows):
    figures = dict(re.findall(r"^\| (.+?) \| (\d+\.\d\d) % \| \d+\.\d\d % \|$", CARD, re.M))
    for title, name in (
        ("teacher", "teacher"),
        ("the same student alone", "student alone"),
        ("`digits_student.keras`", "distilled student"),
        ("`digits_student_int8.tflite`", "int8 .tflite"),
    ):
        assert figures[title] == f"{100 * rows[name].accuracy:.2f}"


def test_the_keras_student_has_the_accuracy_of_the_report(rows, test_split):
    student = keras.models.load_model(FOLDER / "digits_student.keras")
    logits, labels = evaluate.predict_logits(student, test_split)
    # Other processors sum in another order, which may turn one image of the 300.
    assert abs(evaluate.accuracy(logits, labels) - rows["distilled student"].accuracy) < 1.5 / 300
    assert student.count_params() == rows["distilled student"].parameters


def test_the_int8_student_has_the_accuracy_of_the_report(rows, test_split):
    logits, labels = export.predict(FOLDER / "digits_student_int8.tflite", test_split)
    assert np.asarray(logits).shape == (300, 10)
    assert abs(evaluate.accuracy(logits, labels) - rows["int8 .tflite"].accuracy) < 1.5 / 300
