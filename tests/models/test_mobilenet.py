import keras
import pytest

import kd_keras


def parameters_by_hand(classes, expansion=6, channels=3):
    """Count weights at width 1; every convolution is followed by four numbers a channel."""
    total = 9 * channels * 16 + 4 * 16
    before = 16
    for now, blocks in ((24, 2), (40, 3), (80, 3)):
        for _ in range(blocks):
            inside = expansion * before
            total += before * inside + 4 * inside  # expand
            total += 9 * inside + 4 * inside  # depthwise
            total += inside * now + 4 * now  # project
            before = now
    total += before * 320 + 4 * 320
    return total + 320 * classes + classes


@pytest.mark.parametrize("expansion", [1, 6])
def test_the_parameter_count_is_the_formulas(expansion):
    model = kd_keras.models.mobilenet((32, 32, 3), 10, expansion=expansion)
    assert model.count_params() == parameters_by_hand(10, expansion)


def test_tap_names_and_shapes():
    model = kd_keras.models.mobilenet((32, 32, 3), 10)
    shapes = {
        name: model.get_layer(name).output.shape[1:]
        for name in ("stem", "stage1_block1", "stage1_out", "stage2_out", "stage3_out", "features")
    }
    assert shapes == {
        "stem": (32, 32, 16),
        "stage1_block1": (32, 32, 24),
        "stage1_out": (32, 32, 24),
        "stage2_out": (16, 16, 40),
        "stage3_out": (8, 8, 80),
        "features": (320,),
    }


def test_width_scales_channels_to_multiples_of_eight():
    model = kd_keras.models.mobilenet((32, 32, 3), 10, width=0.5)
    channels = [
        model.get_layer(name).output.shape[-1]
        for name in ("stem", "stage1_out", "stage2_out", "stage3_out", "head")
    ]
    # 16, 24, 40, 80, 320 halved are 8, 12, 20, 40, 160; halves of eight round up.
    assert channels == [8, 16, 24, 40, 160]
    narrow = kd_keras.models.mobilenet((32, 32, 3), 10, width=0.01)
    assert narrow.get_layer("stem").output.shape[-1] == 8


def test_stage_outputs_are_residual_and_linear():
    model = kd_keras.models.mobilenet((32, 32, 3), 10)
    assert isinstance(model.get_layer("stage2_out"), keras.layers.Add)
    assert isinstance(model.get_layer("stage2_block1"), keras.layers.BatchNormalization)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0}, "`width`.*width=0"),
        ({"width": "wide"}, "`width`.*width='wide'"),
        ({"expansion": 0}, "`expansion`.*expansion=0"),
    ],
)
def test_sizes_out_of_range_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        kd_keras.models.mobilenet(**arguments)
