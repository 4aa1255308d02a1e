"""The main job on data with a class for every pixel, by the command line, on generated images."""

import json

import numpy as np
import pytest

import kd_keras
from kd_keras.evaluate import accuracy, segmentation_scores
from kd_keras.report import read_report
from kd_keras.report.strips import strip

# A minute: three networks are trained and two files made.
pytestmark = pytest.mark.slow


def test_a_run_measures_label_maps_in_keras_and_in_files(tmp_path, command):
    folder = tmp_path / "run"
    done = command(
        *("distill", "membrane", "--smoke", "--output", folder),
        *("--teacher", "unet4d1", "--student", "unet2d1", "--batch-size", 16),
        *("--losses", "KLDivergence", "0.5 * ChannelWise"),
    )
    assert done.code == 0, done.err
    assert "mIoU" in done.out
    report = read_report(folder / "report.json")
    assert report.recipe["dataset"] == "blobs"
    test = kd_keras.data.load("blobs").test
    for row, name in zip(report.rows[3:], ("float32", "int8"), strict=True):
        logits, labels = kd_keras.export.predict(folder / f"student_{name}.tflite", test)
        found = row.examination.segmentation
        assert found == segmentation_scores(logits, labels)
        assert row.accuracy == accuracy(logits, labels) == found.pixel_accuracy
        assert row.examination.examples == 32
    teacher = report.rows[0].examination
    assert teacher.segmentation.mean_iou > 1 / 3
    assert set(teacher.robustness.perturbed) >= {"brightness, severity 3"}
    names = {row.name for row in report.rows}
    assert report.strips.keys() == {"image", "label", *names}
    label = strip(report.strips["label"])
    assert label.shape == (32, 6 * 32)
    assert set(np.unique(label)) <= {0, 1, 2}
    page = (folder / "report.html").read_text()
    assert "Label maps" in page and "data:image/png;base64" in page
    verified = json.loads((folder / "export.json").read_text())
    assert verified["student_float32.tflite"]["agreement"] > 0.999
    assert verified["student_int8.tflite"]["agreement"] > 0.95
