"""The layers that move nothing come back from their configs."""

import json

import keras
import pytest

from kd_keras.augment import (
    Equalize,
    GaussianBlur,
    GaussianNoise,
    GridMask,
    JpegCompression,
    Posterize,
    RandomFlip,
    RandomShift,
    SaltAndPepper,
    Sharpness,
    SpeckleNoise,
)


@pytest.mark.parametrize(
    "layer",
    [
        GaussianNoise((0.0, 0.1), (0, 1), seed=3),
        SaltAndPepper(0.2, (-1, 1)),
        SpeckleNoise((0.1, 0.2), (0, 1)),
        GaussianBlur((0.5, 1.0), (0, 1)),
        Sharpness((0.5, 1.5)),
        JpegCompression((10, 20)),
        Posterize(3, (0, 1)),
        Equalize(0.25),
        GridMask((0.25, 0.5), 0.5, 0.1, (0, 1)),
        RandomFlip("vertical", rate=0.25, seed=2),
        RandomShift(0.5, 0.25, bounding_box_format="xyxy"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_the_config_survives_json(layer):
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is type(layer)
    assert copy.get_config() == layer.get_config()
