import pytest

import kd_keras


@pytest.mark.parametrize(
    ("name", "direct"),
    [
        ("resnet14", lambda **k: kd_keras.models.resnet((16, 16, 3), 5, depth=14, **k)),
        ("resnet8x4", lambda **k: kd_keras.models.resnet((16, 16, 3), 5, depth=8, width=4, **k)),
        ("mobilenet", lambda **k: kd_keras.models.mobilenet((16, 16, 3), 5, **k)),
        ("mobilenetx0.5", lambda **k: kd_keras.models.mobilenet((16, 16, 3), 5, width=0.5, **k)),
        ("mlp", lambda **k: kd_keras.models.mlp((16, 16, 3), 5, **k)),
        ("mlp20-10", lambda **k: kd_keras.models.mlp((16, 16, 3), 5, hidden=(20, 10), **k)),
    ],
)
def test_a_name_builds_what_its_function_builds(name, direct):
    options = {"weight_decay": 1e-4, "seed": 2}
    built = kd_keras.models.from_name(name, input_shape=(16, 16, 3), num_classes=5, **options)
    expected = direct(name=name, **options)
    assert built.get_config() == expected.get_config()


@pytest.mark.parametrize("name", ["resnet", "vgg16", "resnet20x", "mlp-5", "ResNet20", "", "mlp5-"])
def test_a_name_of_no_known_form_is_refused_with_the_forms(name):
    with pytest.raises(ValueError, match=r"resnet<depth>x<width>.*Received: name="):
        kd_keras.models.from_name(name, input_shape=(8, 8, 1), num_classes=10)


def test_a_bad_depth_inside_a_name_is_refused_with_its_neighbours():
    with pytest.raises(ValueError, match="14 and 20"):
        kd_keras.models.from_name("resnet18", input_shape=(8, 8, 1), num_classes=10)


def test_a_name_that_is_no_string_is_refused():
    with pytest.raises(TypeError, match="`name`"):
        kd_keras.models.from_name(20, input_shape=(8, 8, 1), num_classes=10)
