import json

import keras
import numpy as np
import pytest

from kd_keras.augment import Policy, RandomResizedCrop


def test_a_crop_of_everything_is_the_image():
    images = np.random.default_rng(0).uniform(0, 255, (3, 9, 7, 3)).astype("float32")
    whole = RandomResizedCrop(area=(1.0, 1.0), aspect_ratio=(1.0, 1.0))
    np.testing.assert_allclose(whole(images), images, atol=1e-2)


def test_no_crop_reaches_beyond_the_image():
    # What is outside would be filled with zeros.
    images = np.full((500, 17, 13, 1), 200.0, "float32")
    views = Policy([RandomResizedCrop(area=(0.9, 1.0), aspect_ratio=(0.5, 2.0))])(images)
    np.testing.assert_allclose(views, images, atol=1e-3)


def test_the_crop_has_the_stated_area():
    # On a ramp the range that is left tells the size of the crop.
    size = 65
    ramp = np.arange(size, dtype="float32")
    rows = np.broadcast_to(ramp[None, :, None, None], (200, size, size, 1))
    columns = rows.transpose(0, 2, 1, 3)
    policy = Policy([RandomResizedCrop(area=(0.25, 0.36), aspect_ratio=(0.8, 1.25))], seed=1)
    extents = []
    for images in (rows, columns):
        views = policy(np.ascontiguousarray(images)).numpy()
        extents.append((views.max(axis=(1, 2, 3)) - views.min(axis=(1, 2, 3))) / (size - 1))
    area = extents[0] * extents[1]
    ratio = extents[1] / extents[0]
    assert 0.249 < area.min() < 0.27 and 0.34 < area.max() < 0.361
    assert 0.799 < ratio.min() < 0.85 and 1.18 < ratio.max() < 1.251


@pytest.mark.parametrize(
    "arguments",
    [
        {"area": (0.0, 1.0)},
        {"area": (0.9, 0.5)},
        {"area": (0.5, 1.1)},
        {"area": 0.5},
        {"aspect_ratio": (-1.0, 1.0)},
        {"interpolation": "cubic"},
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments):
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}` must be"):
        RandomResizedCrop(**arguments)


def test_the_config_survives_json():
    layer = RandomResizedCrop((0.5, 0.8), (1.0, 1.0), "nearest")
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    assert keras.saving.deserialize_keras_object(config).get_config() == layer.get_config()
