import pytest

import kd_keras


def parameters_by_hand(depth, width, classes, channels=3):
    """Count weights from the paper's figure: 3x3 kernels, four numbers of batch norm a channel."""
    total = 9 * channels * width + 4 * width
    before = width
    for stage in range(3):
        now = width * 2**stage
        for block in range((depth - 2) // 6):
            total += 9 * before * now + 4 * now + 9 * now * now + 4 * now
            if stage and not block:
                total += before * now + 4 * now  # the 1x1 shortcut
            before = now
    return total + before * classes + classes


@pytest.mark.parametrize(
    ("depth", "width", "expected"), [(20, 16, 274_042), (56, 16, 860_026), (8, 32, 309_994)]
)
def test_the_parameter_count_is_the_formulas(depth, width, expected):
    model = kd_keras.models.resnet((32, 32, 3), 10, depth=depth, width=width)
    assert model.count_params() == parameters_by_hand(depth, width, 10) == expected


def test_taps_have_the_same_names_whatever_the_depth():
    taps = {"stem", "stage1_out", "stage2_out", "stage3_out", "features", "logits"}
    for depth in (8, 20):
        assert taps <= {layer.name for layer in kd_keras.models.resnet(depth=depth).layers}


def test_tap_names_and_shapes_of_resnet14():
    model = kd_keras.models.resnet((32, 32, 3), 10, depth=14)
    shapes = {
        name: model.get_layer(name).output.shape[1:]
        for name in (
            "stem", "stage1_block1", "stage1_out", "stage2_block1", "stage2_out",
            "stage3_block1", "stage3_out", "features", "logits",
        )
    }  # fmt: skip
    assert shapes == {
        "stem": (32, 32, 16),
        "stage1_block1": (32, 32, 16),
        "stage1_out": (32, 32, 16),
        "stage2_block1": (16, 16, 32),
        "stage2_out": (16, 16, 32),
        "stage3_block1": (8, 8, 64),
        "stage3_out": (8, 8, 64),
        "features": (64,),
        "logits": (10,),
    }


def test_odd_image_sides_are_taken():
    assert kd_keras.models.resnet((7, 5, 1), 3, depth=8).get_layer("stage3_out").output.shape == (
        None,
        2,
        2,
        64,
    )


@pytest.mark.parametrize(
    ("depth", "message"),
    [
        (18, "nearest valid depths are 14 and 20"),
        (21, "nearest valid depths are 20 and 26"),
        (2, "from 8 to 1202"),
        (20.0, r"depth=20\.0"),
    ],
)
def test_a_depth_that_is_not_6n_plus_2_is_refused_with_its_neighbours(depth, message):
    with pytest.raises(ValueError, match=f"`depth`.*{message}"):
        kd_keras.models.resnet(depth=depth)


def test_the_default_name_tells_the_depth():
    assert kd_keras.models.resnet(depth=14).name == "resnet14"
    assert kd_keras.models.resnet(depth=14, name="pupil").name == "pupil"
