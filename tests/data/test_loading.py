import pytest

import kd_keras


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, r"`batch_size`.*>= 1.*batch_size=0"),
        ({"batch_size": 2.5}, r"`batch_size`.*batch_size=2\.5"),
        ({"seed": -1}, r"`seed`.*seed=-1"),
        ({"seed": 2**63}, "`seed` must be an integer >= 0 that int64 holds"),
        ({"limit": 0}, r"`limit`.*limit=0"),
        ({"validation_fraction": 1.0}, r"`validation_fraction`.*validation_fraction=1\.0"),
        ({"validation_fraction": "10%"}, r"`validation_fraction`.*'10%'"),
        ({"image_size": 0}, r"`image_size`.*image_size=0"),
        ({"image_size": (8, 8, 1)}, r"`image_size`.*pair.*\(8, 8, 1\)"),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        kd_keras.data.load("digits", **arguments)


@pytest.mark.parametrize("arguments", [{"name": 7}, {"name": "digits", "data_dir": 7}])
def test_what_is_neither_text_nor_a_path_is_refused(arguments):
    with pytest.raises(TypeError, match="must be text or a path"):
        kd_keras.data.load(**arguments)


def test_the_largest_seed_is_taken(digits):
    x, _ = next(iter(digits(seed=2**63 - 1).train))
    assert x.shape == (128, 8, 8, 1)


def test_image_size_resizes_a_dataset_of_one_size_too(digits):
    splits = digits(image_size=16)
    assert splits.info.image_shape == (16, 16, 1)
    x, _ = next(iter(splits.test))
    assert x.shape == (128, 16, 16, 1)
