"""Overlap, accuracy and borders of label maps, by counts made by hand."""

import numpy as np
import pytest

from kd_keras.evaluate import accuracy, agreement, boundary_error, segmentation_scores

LABELS = np.array([[[0, 0, 1, 1], [0, 0, 1, 1]], [[2, 2, 2, 2], [255, 255, 2, 0]]])
GIVEN = np.array([[[0, 1, 1, 1], [0, 0, 1, 0]], [[2, 2, 2, 2], [0, 1, 2, 2]]])


def scores_of(given, labels, classes=4, **options):
    return segmentation_scores(np.eye(classes)[given] * 3 - 1, labels, **options)


def test_overlap_of_each_class_by_hand():
    scores = scores_of(GIVEN, LABELS, ignored=255)
    # Class 0: labelled 5, given 4 where labels count, 3 of them right. Class 1: 4, 4, 3.
    # Class 2: labelled 5, given 6, 5 right. Nothing is of class 3.
    assert scores.pixels == 14
    assert scores.pixel_accuracy == 11 / 14
    assert scores.iou == (3 / 6, 3 / 5, 5 / 6, None)
    assert scores.dice == (6 / 9, 6 / 8, 10 / 11, None)
    assert scores.mean_iou == pytest.approx((3 / 6 + 3 / 5 + 5 / 6) / 3)
    assert scores.mean_dice == pytest.approx((6 / 9 + 6 / 8 + 10 / 11) / 3)


def test_perfect_maps_and_all_wrong_ones():
    labels = LABELS[:1]
    perfect = scores_of(labels, labels, 2)
    assert (perfect.mean_iou, perfect.mean_dice, perfect.boundary_error) == (1.0, 1.0, 0.0)
    wrong = scores_of(1 - labels, labels, 2)
    assert (wrong.pixel_accuracy, wrong.mean_iou, wrong.mean_dice) == (0.0, 0.0, 0.0)
    assert wrong.boundary_error == 0.0  # the border itself is where it should be


def test_forms_of_labels_and_of_a_binary_output():
    random = np.random.default_rng(0)
    logits = random.normal(size=(2, 5, 4, 3))
    labels = random.integers(0, 3, (2, 5, 4))
    expected = segmentation_scores(logits, labels)
    assert segmentation_scores(logits, labels[..., None]) == expected
    assert segmentation_scores(logits, np.eye(3)[labels]) == expected
    assert expected.pixel_accuracy == accuracy(logits, labels)
    one = logits[..., :1]
    two = np.concatenate([np.zeros_like(one), one], axis=-1)
    assert segmentation_scores(one, labels // 2) == segmentation_scores(two, labels // 2)
    assert agreement(logits, 2 * logits) == 1.0


def test_borders_within_the_tolerance_are_found():
    labels = np.zeros((1, 6, 12), int)
    labels[:, :, 4:] = 1  # a border through the columns 3 and 4
    given = np.zeros_like(labels)
    given[:, :, 7:] = 1  # found at 6 and 7

    def error(tolerance):
        return boundary_error(np.eye(2)[given], labels, None, tolerance)

    # At distance 2 column 6 is found near 4, and 4 near 6: one of two columns each way.
    assert [error(tolerance) for tolerance in (0, 1, 2, 3)] == [1.0, 1.0, 0.5, 0.0]
    assert boundary_error(np.eye(2)[given.swapaxes(1, 2)], labels.swapaxes(1, 2)) == 0.5


def test_missed_and_made_up_borders():
    labels = np.zeros((1, 8, 8), int)
    labels[:, 2:4, 2:4] = 1
    flat = np.zeros_like(labels)
    assert boundary_error(np.eye(2)[flat], labels) == 1.0
    assert boundary_error(np.eye(2)[labels], flat) == 1.0
    assert boundary_error(np.eye(2)[flat], flat) is None
    # Half of what is found is made up, all that is true is found: precision 1/2, recall 1.
    doubled = np.concatenate([labels, labels], axis=2)
    true = np.concatenate([labels, flat], axis=2)
    assert boundary_error(np.eye(2)[doubled], true) == pytest.approx(1 - 2 * 0.5 / 1.5)


def test_ignored_pixels_have_no_border():
    labels = np.zeros((1, 4, 4), int)
    labels[:, :, 2:] = 255
    given = np.zeros_like(labels)
    given[:, :, 2:] = 1
    assert boundary_error(np.eye(2)[given], labels, ignored=255) is None


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((2, 3)), [0, 1], r"\(images, height, width, classes\).*accuracy"),
        (np.zeros((1, 2, 2, 3)), np.full((1, 2, 2), 3), "from 0 to 2"),
        (np.zeros((1, 2, 2, 3)), np.full((1, 2, 2), 9), "all are ignored=9"),
        (np.zeros((1, 2, 2, 3)), np.zeros((1, 3, 2)), "Received: shape"),
    ],
)
def test_what_does_not_fit_is_refused(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        segmentation_scores(logits, labels, ignored=9)


def test_a_tolerance_out_of_range_is_refused():
    with pytest.raises(ValueError, match="`tolerance`.*tolerance=-1"):
        scores_of(LABELS[:1], LABELS[:1], 2, tolerance=-1)
