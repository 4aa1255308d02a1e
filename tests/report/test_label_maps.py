"""What a report says of label maps: a table, overlays of test images, columns of its own."""

import dataclasses

import numpy as np
import pytest

from kd_keras.evaluate import SegmentationScores
from kd_keras.report import Report, page
from kd_keras.report.files import to_csv
from kd_keras.report.measures import brief_table
from kd_keras.report.sections import sections
from kd_keras.report.strips import evenly, strip, strips_of
from kd_keras.report.table import ABSENT
from tests.report.test_page import Page

SCORES = SegmentationScores(100, 0.75, (0.5, 0.25), (0.625, None), None)


@pytest.fixture(scope="module")
def of_maps(examined_report):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (2, 4, 4, 1)).astype("uint8")
    labels = random.integers(0, 2, (2, 4, 4))
    maps = {row.name: 1 - labels for row in examined_report.rows}
    rows = [
        dataclasses.replace(
            row, examination=dataclasses.replace(row.examination, segmentation=SCORES)
        )
        for row in examined_report.rows
    ]
    strips = strips_of(images, labels, maps)
    return dataclasses.replace(examined_report, rows=rows, strips=strips)


def test_strips_hold_the_pixels_and_class_ids():
    images = np.arange(2 * 3 * 3 * 3).reshape(2, 3, 3, 3).astype("uint8")
    labels = np.array([np.zeros((3, 3)), np.full((3, 3), 255)]).astype("int64")
    strips = strips_of(images, labels, {"a": labels})
    np.testing.assert_array_equal(strip(strips["image"])[:, :3], images[0])
    np.testing.assert_array_equal(strip(strips["a"])[0], [0, 0, 0, 255, 255, 255])
    with pytest.raises(ValueError, match="no PNG in base 64"):
        strip("abc")
    assert len(evenly(images)) == 2 and len(evenly(np.zeros((50, 1)))) == 6


def test_the_section_has_scores_and_an_overlay_of_each_model(of_maps):
    section = sections(of_maps)[0]
    assert section.heading == "Label maps"
    assert list(section.table.headings[1:]) == [
        *("mIoU", "Dice", "boundary error", "IoU: zero", "IoU: <one>"),
    ]
    assert list(section.table.rows[0]) == [
        *("teacher <b>", "37.50 %", "62.50 %", ABSENT, "50.00 %", "25.00 %"),
    ]
    headings = [chart.heading for chart in section.charts]
    assert headings == ["test images", "labels", *(row.name for row in of_maps.rows)]
    assert "<one> blue" in section.notes[1]


def test_the_page_escapes_names_and_loads_nothing(of_maps):
    html = page.render(of_maps)
    parsed = Page(html)
    assert not {"script", "link", "iframe", "img", "object", "b"} & set(parsed.tags)
    # An overlay is a picture inside its SVG.
    sources = [value for tag, name, value in parsed.attributes if name == "xlink:href"]
    assert all(value.startswith(("data:image/png;base64,", "#")) for value in sources)


def test_reports_go_through_json_and_tables_have_the_measures(of_maps, examined_report):
    again = Report.from_json(of_maps.to_json())
    assert again.to_json() == of_maps.to_json()
    assert again.rows[0].examination.segmentation == SCORES
    assert list(brief_table(of_maps).headings[:3]) == ["model", "mIoU", "agreement"]
    assert "mIoU" not in brief_table(examined_report).headings
    heading, row, *_ = to_csv(of_maps).splitlines()
    values = dict(zip(heading.split(","), row.split(","), strict=True))
    assert (values["mean_iou"], values["boundary_error"]) == ("0.375", "")
    assert '"strips"' not in examined_report.to_json()
