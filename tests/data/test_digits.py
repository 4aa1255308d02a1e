import numpy as np
import sklearn.datasets
import tensorflow_datasets as tfds

import kd_keras
from kd_keras.data.digits import split_indices, to_uint8

SPLITS = ("train", "validation", "test")


def test_values_are_spread_over_0_to_255_and_rounded_half_up():
    assert to_uint8(np.arange(17.0)).tolist() == [
        0, 16, 32, 48, 64, 80, 96, 112, 128, 143, 159, 175, 191, 207, 223, 239, 255,
    ]  # fmt: skip


def test_the_rule_picks_thirty_of_each_class_evenly_and_leaves_nothing_out():
    labels = np.array([0] * 150 + [1] * 155)
    picked = split_indices(labels)
    # Of 150: every fifth from the first on for test, and two places after it for validation.
    assert [i for i in picked["test"] if i < 150] == list(range(0, 150, 5))
    assert [i for i in picked["validation"] if i < 150] == list(range(2, 150, 5))
    # Of 155: floor(k * 155 / 30) = 0, 5, 10, 15, 20, 25, 31, ...
    assert [i - 150 for i in picked["test"] if i >= 150][:7] == [0, 5, 10, 15, 20, 25, 31]
    assert [i - 150 for i in picked["validation"] if i >= 150][:7] == [2, 7, 12, 17, 22, 27, 33]
    assert sorted(i for indices in picked.values() for i in indices) == list(range(305))


def test_the_split_is_the_committed_one():
    labels = sklearn.datasets.load_digits().target
    picked = split_indices(labels)
    assert {split: len(indices) for split, indices in picked.items()} == {
        "train": 1197,
        "validation": 300,
        "test": 300,
    }
    for split in ("validation", "test"):
        assert np.bincount(labels[picked[split]]).tolist() == [30] * 10
    assert picked["test"][:5] == [0, 1, 2, 3, 4]
    assert sum(picked["test"]) == 260_669
    assert sum(picked["validation"]) == 266_631


def test_what_is_loaded_is_what_scikit_learn_ships(digits):
    source = sklearn.datasets.load_digits()
    expected = {
        image.tobytes(): label
        for image, label in zip(to_uint8(source.images), source.target, strict=True)
    }
    splits = digits()
    seen = []
    for name in SPLITS:
        for x, y in getattr(splits, name).as_numpy_iterator():
            for image, label in zip(x, y, strict=True):
                assert expected[image.tobytes()] == label
                seen.append(image.tobytes())
    assert len(seen) == len(set(seen)) == 1797


def test_no_image_is_in_two_splits(digits):
    splits = digits()
    images = [
        {image.tobytes() for x, _ in getattr(splits, name).as_numpy_iterator() for image in x}
        for name in SPLITS
    ]
    assert [len(split) for split in images] == [1197, 300, 300]
    assert not images[0] & images[1] | images[0] & images[2] | images[1] & images[2]


def test_it_is_a_real_tfds_builder(digits_dir):
    assert issubclass(kd_keras.data.Digits, tfds.core.GeneratorBasedBuilder)
    (x, y), info = tfds.load(
        "digits", split="test", data_dir=digits_dir, batch_size=-1, as_supervised=True,
        with_info=True, download=False,
    )  # fmt: skip
    assert x.shape == (300, 8, 8, 1)
    assert y.shape == (300,)
    assert info.supervised_keys == ("image", "label")


def test_labels_are_mixed_within_the_first_batch(digits):
    splits = digits(batch_size=64)
    for name in SPLITS:
        _, y = next(iter(getattr(splits, name)))
        assert len(set(y.numpy().tolist())) == 10
