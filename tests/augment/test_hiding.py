"""Cutout and GridMask hide as much as they say, where they say."""

import numpy as np
import pytest

from kd_keras import augment
from kd_keras.augment import GridMask, Policy


def hidden(policy, count=200, height=32, width=32):
    """Where a policy turns white images grey."""
    images = np.full((count, height, width, 3), 255, "uint8")
    views = policy(images, step=0).numpy()
    assert set(np.unique(views)) == {128, 255}
    assert (views == views[..., :1]).all()
    return views[..., 0] == 128


def test_cutout_hides_one_rectangle_of_the_stated_size_cut_off_at_the_border():
    for mask in hidden(augment.cutout(side=0.25)):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert mask[np.ix_(rows, columns)].all() and mask.sum() == len(rows) * len(columns)
        for edges in (rows, columns):
            assert len(edges) == edges[-1] - edges[0] + 1
            inside = edges[0] > 0 and edges[-1] < 31
            assert len(edges) == 8 if inside else 4 <= len(edges) <= 8
    places = hidden(augment.cutout(side=0.25)).mean(axis=0)
    assert places.min() > 0


@pytest.mark.parametrize(
    ("unit", "ratio", "side"), [(0.25, 0.5, 4), (0.5, 0.75, 4), (0.5, 0.01, 15)]
)
def test_grid_mask_hides_a_square_in_each_unit(unit, ratio, side):
    size = int(unit * 32)
    masks = hidden(Policy([GridMask(unit=unit, ratio=ratio)], seed=2))
    # A period of the grid, wherever it begins, holds one square.
    assert (masks[:, :size, :size].sum(axis=(1, 2)) == side * side).all()
    np.testing.assert_array_equal(masks[:, size:], masks[:, :-size])
    np.testing.assert_array_equal(masks[:, :, size:], masks[:, :, :-size])
    assert len({mask.tobytes() for mask in masks}) > 20


def test_grid_mask_draws_its_unit():
    masks = hidden(Policy([GridMask(unit=(0.25, 1.0), ratio=0.5)], seed=2), height=40)
    rows = masks.any(axis=2)
    starts = (rows[:, 1:] & ~rows[:, :-1]).sum(axis=1)
    # From 40 / 32 squares up to 40 / 8.
    assert starts.min() <= 2 and starts.max() >= 4


def test_grid_mask_fills_with_what_is_asked_for():
    images = np.zeros((2, 8, 8, 1), "float32")
    views = Policy([GridMask(fill_value=0.25, value_range=(-1, 1))], value_range=(-1, 1))(images)
    assert set(np.unique(views)) == {0.0, 0.25}


@pytest.mark.parametrize(
    "arguments",
    [
        {"unit": (0.5, 1.5)},
        {"unit": -0.1},
        {"ratio": 0.0},
        {"ratio": 1},
        {"ratio": "half"},
        {"fill_value": 300},
        {"fill_value": True},
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments):
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}` must be"):
        GridMask(**arguments)
