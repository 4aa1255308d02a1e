import dataclasses

import pytest

from kd_keras.data.splits import DataInfo, cut


@pytest.mark.parametrize(
    ("available", "expected"),
    [
        (
            {"train": 100, "validation": 20, "test": 30},
            ["train[0:100]", "validation[0:20]", "test[0:30]"],
        ),
        ({"train": 100, "val": 20, "test": 30}, ["train[0:100]", "val[0:20]", "test[0:30]"]),
        ({"train": 100, "test": 30}, ["train[0:90]", "train[90:100]", "test[0:30]"]),
        ({"train": 100, "validation": 20}, ["train[0:90]", "train[90:100]", "validation[0:20]"]),
        ({"train": 100}, ["train[0:80]", "train[80:90]", "train[90:100]"]),
        ({"train": 3, "test": 1}, ["train[0:2]", "train[2:3]", "test[0:1]"]),
    ],
)
def test_a_missing_split_is_cut_from_the_end_of_train(available, expected):
    assert [str(part) for part in cut("some", available, 0.1)] == expected


def test_the_fraction_is_of_train():
    assert [str(part) for part in cut("some", {"train": 50, "test": 1}, 0.3)][:2] == [
        "train[0:35]",
        "train[35:50]",
    ]


@pytest.mark.parametrize(
    ("available", "message"),
    [
        ({"test": 5}, r"'train'.*splits \['test'\]"),
        ({"train": 0, "test": 5}, "train split of 'some' is empty"),
        ({"train": 1, "test": 5}, "train split of 'some' is empty.*validation_fraction"),
        ({"train": 9, "test": 0}, "test split of 'some' is empty"),
        ({"train": 9, "validation": 0, "test": 5}, "validation split of 'some' is empty"),
    ],
)
def test_an_empty_part_is_refused(available, message):
    with pytest.raises(ValueError, match=message):
        cut("some", available, 0.1)


def test_what_is_loaded_is_frozen_and_described(digits):
    splits = digits()
    assert splits.info == DataInfo(
        name="digits",
        version="1.0.0",
        num_classes=10,
        class_names=tuple("0123456789"),
        input_shape=(8, 8, 1),
        train_examples=1197,
        validation_examples=300,
        test_examples=300,
        split_rule="train: train[0:1197], validation: validation[0:300], test: test[0:300]",
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        splits.seed = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        splits.info.name = "other"
