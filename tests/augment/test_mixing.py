import json

import keras
import keras_cv
import numpy as np
import pytest
import tensorflow as tf

from kd_keras.augment import CutMix, FMix, MixUp, Policy
from kd_keras.augment.adapter import as_augmentation, augment_batch
from kd_keras.training.batch import Batch


def constant_images(count, size=8):
    """Images whose every value is their own index."""
    index = np.arange(count, dtype="float32").reshape(-1, 1, 1, 1)
    return np.broadcast_to(index, (count, size, size, 1)).copy()


def batch(count=16, size=8):
    return {"images": constant_images(count, size), "labels": np.arange(count)}


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_mixup_labels_match_the_pixels(alpha):
    views = MixUp(alpha)(batch(), step=3)
    share = views["share"].numpy()
    expected = share * views["labels"].numpy() + (1 - share) * views["second_labels"].numpy()
    np.testing.assert_allclose(views["images"][:, 0, 0, 0], expected, atol=1e-5)
    np.testing.assert_allclose(views["images"][:, -1, -1, 0], expected, atol=1e-5)


@pytest.mark.parametrize("layer", [CutMix(), FMix()])
@pytest.mark.parametrize("size", [5, 8, 32])
def test_labels_match_the_pixels_where_regions_are_mixed(layer, size):
    for step in range(4):
        views = {k: v.numpy() for k, v in layer(batch(size=size), step=step).items()}
        for image, first, second, share in zip(
            views["images"], views["labels"], views["second_labels"], views["share"], strict=True
        ):
            assert first != second
            of_first, of_second = (image == first).sum(), (image == second).sum()
            assert of_first + of_second == size * size
            assert share == pytest.approx(of_first / size**2, abs=1e-6)


def test_keras_cv_cutmix_labels_do_not_match_the_pixels_which_ours_do():
    count, size = 64, 16
    images = constant_images(count, size)
    theirs = keras_cv.layers.CutMix(alpha=1.0, seed=1)(
        {"images": tf.constant(images), "labels": tf.eye(count)}
    )
    own = np.asarray(theirs["labels"])[np.arange(count), np.arange(count)]
    pixels = (np.asarray(theirs["images"])[..., 0] == images[..., 0]).mean(axis=(1, 2))
    assert np.abs(own - pixels).mean() > 0.05
    assert np.abs(own - pixels).max() > 0.25
    ours = CutMix()({"images": images, "labels": np.arange(count)})
    first = (ours["images"][..., 0] == np.asarray(ours["labels"])[:, None, None]).numpy()
    np.testing.assert_allclose(ours["share"], first.mean(axis=(1, 2)), atol=1e-6)


def test_keras_cv_mixup_does_not_repeat_under_its_seed_and_ours_does():
    inputs = {"images": tf.constant(constant_images(8)), "labels": tf.eye(8)}
    theirs = [keras_cv.layers.MixUp(seed=1)(inputs)["labels"].numpy() for _ in range(2)]
    assert not np.array_equal(*theirs)
    ours = [MixUp(seed=1)(inputs, step=2) for _ in range(2)]
    for key in ours[0]:
        np.testing.assert_array_equal(ours[0][key], ours[1][key])


def test_keras_blends_sparse_labels_into_fractions_and_ours_does_not():
    labels = np.arange(8, dtype="float32")[:, None]
    theirs = keras.layers.MixUp(alpha=1.0, seed=1)(
        {"images": constant_images(8), "labels": labels}, training=True
    )["labels"]
    assert (np.asarray(theirs) % 1 != 0).any()
    ours = MixUp(1.0)({"images": constant_images(8), "labels": labels})
    assert (ours["labels"].numpy() % 1 == 0).all()
    assert (ours["second_labels"].numpy() % 1 == 0).all()


@pytest.mark.parametrize("layer", [MixUp, CutMix, FMix])
@pytest.mark.parametrize(
    "labels",
    [
        np.arange(6),
        np.arange(6, dtype="uint8"),
        np.arange(6, dtype="float32")[:, None],
        np.eye(6, dtype="float32"),
        {"a": np.arange(6), "b": np.eye(6, dtype="int64")},
        None,
    ],
    ids=["sparse", "bytes", "column", "one-hot", "dict", "none"],
)
def test_labels_keep_their_format(layer, labels):
    views = augment_batch(as_augmentation(layer()), Batch(constant_images(6), labels), 0)
    for mixed in (views.y, views.mix.y):
        keras.tree.assert_same_structure(mixed, labels)
        for after, before in zip(
            keras.tree.flatten(mixed), keras.tree.flatten(labels), strict=True
        ):
            if before is not None:
                assert (after.dtype.name, tuple(after.shape)) == (before.dtype.name, before.shape)
                assert {v.tobytes() for v in after.numpy()} <= {v.tobytes() for v in before}
    assert views.mix.lam.shape == (6,)
    assert views.mix.lam.dtype == tf.float32
    assert views.weight is None and views.mix.weight is None


@pytest.mark.parametrize("layer", [MixUp(1.0), CutMix(), FMix()])
def test_each_label_keeps_its_own_weight(layer):
    weights = np.arange(10, dtype="float32") / 10
    views = layer({**batch(10), "sample_weight": weights})
    np.testing.assert_array_equal(views["sample_weight"], weights[views["labels"]])
    np.testing.assert_array_equal(views["second_sample_weight"], weights[views["second_labels"]])


@pytest.mark.parametrize("layer", [MixUp(1.0), CutMix(), FMix()])
def test_shares_are_those_of_the_larger_part_and_partners_are_others(layer):
    shares = []
    for step in range(5):
        views = layer(batch(12), step=step)
        shares.append(views["share"].numpy())
        assert (views["labels"].numpy() != views["second_labels"].numpy()).all()
        # Everybody is somebody's partner: each index occurs once as itself, once as partner.
        both = np.concatenate([views["labels"], views["second_labels"]])
        np.testing.assert_array_equal(np.bincount(both), np.full(12, 2))
    assert np.min(shares) >= 0.5
    assert np.max(shares) <= 1.0
    assert len(np.unique(shares)) > 10


def test_mixup_shares_follow_the_beta_distribution():
    share = MixUp(1.0)(batch(4000, 1))["share"].numpy()
    # The larger of a uniform number and its complement: mean 3/4, variance 1/48.
    assert share.mean() == pytest.approx(0.75, abs=0.01)
    assert share.var() == pytest.approx(1 / 48, abs=0.002)


def test_cutmix_also_pastes_rectangles_larger_than_half():
    views = CutMix()(batch(200, 16))
    own = views["labels"].numpy() == np.arange(200)
    assert 10 < (~own).sum() < 100


def test_fmix_has_few_smooth_regions_of_every_size():
    images = constant_images(200, 32)
    views = FMix(decay=3.0)({"images": images, "labels": np.arange(200)})
    first = views["images"].numpy()[..., 0] == views["labels"].numpy()[:, None, None]
    shares = first.mean(axis=(1, 2))
    # alpha = 1: the larger share is uniform in [0.5, 1].
    assert abs(shares.mean() - 0.75) < 0.05 and shares.min() < 0.53 and shares.max() > 0.97
    edges = (first[:, 1:] != first[:, :-1]).mean()
    rough = FMix(decay=0.0)({"images": images, "labels": np.arange(200)})
    rough = rough["images"].numpy()[..., 0] == rough["labels"].numpy()[:, None, None]
    # Pixels that are drawn one by one differ from their neighbours several times as often.
    assert edges < 0.3 * (rough[:, 1:] != rough[:, :-1]).mean()
    # No place belongs to one side more often than to the other: the mask may be anywhere.
    assert np.ptp(first.mean(axis=0)) < 0.25


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (6, 1), (9, 14)])
def test_fmix_takes_images_of_any_shape(shape):
    images = np.broadcast_to(np.arange(4.0).reshape(4, 1, 1, 1), (4, *shape, 1))
    views = FMix()({"images": images.astype("float32"), "labels": np.arange(4)})
    first = views["images"].numpy()[..., 0] == views["labels"].numpy()[:, None, None]
    np.testing.assert_allclose(first.mean(axis=(1, 2)), views["share"], atol=1e-6)


@pytest.mark.parametrize("decay", [-1.0, "3", None, True, float("nan")])
def test_a_wrong_decay_is_refused(decay):
    with pytest.raises(ValueError, match="`decay` must be"):
        FMix(decay=decay)


def test_a_batch_of_one_is_its_own_partner():
    views = CutMix()(batch(1))
    np.testing.assert_array_equal(views["images"], constant_images(1))
    np.testing.assert_array_equal(views["second_labels"], [0])


def test_mixup_blends_any_floats_and_cutmix_only_images():
    audio = np.random.default_rng(0).normal(size=(6, 50)).astype("float32")
    views = augment_batch(as_augmentation(MixUp(1.0)), Batch(audio, np.arange(6)), 0)
    share = views.mix.lam.numpy()[:, None]
    expected = share * audio[views.y] + (1 - share) * audio[views.mix.y]
    np.testing.assert_allclose(views.x, expected, atol=1e-6)
    with pytest.raises(ValueError, match=r"shape \(6, 50\). Use MixUp"):
        augment_batch(as_augmentation(CutMix()), Batch(audio, None), 0)
    with pytest.raises(ValueError, match="ids of tokens"):
        augment_batch(as_augmentation(MixUp()), Batch(np.zeros((6, 50), "int32"), None), 0)


def test_labels_for_each_pixel_go_with_mixup_and_not_with_cutmix():
    masks = np.arange(6)[:, None, None] * np.ones((6, 8, 8), "int64")
    views = MixUp()({"images": constant_images(6), "labels": masks})
    assert views["second_labels"].shape == (6, 8, 8)
    with pytest.raises(ValueError, match=r"dense labels of shape \(6, 8, 8\).*kd_keras.augment.M"):
        CutMix()({"images": constant_images(6), "labels": masks})


def test_mixing_twice_is_refused():
    with pytest.raises(ValueError, match="mixed already"):
        augment_batch(as_augmentation([MixUp(), CutMix()]), Batch(constant_images(4), None), 0)


@pytest.mark.parametrize("alpha", [0, -1.0, "1", None, float("nan"), True])
@pytest.mark.parametrize("layer", [MixUp, CutMix, FMix])
def test_a_wrong_alpha_is_refused(layer, alpha):
    with pytest.raises(ValueError, match="`alpha` must be a finite number > 0"):
        layer(alpha)


@pytest.mark.parametrize("layer", [MixUp(0.7, seed=4), CutMix(0.3, seed=5), FMix(0.3, 2.0, seed=5)])
def test_the_config_survives_json(layer):
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    copy = keras.saving.deserialize_keras_object(config)
    assert (type(copy), copy.alpha, copy.seed) == (type(layer), layer.alpha, layer.seed)
    np.testing.assert_array_equal(copy(batch())["share"], layer(batch())["share"])


def test_in_a_policy_the_seed_of_the_policy_rules():
    views = [Policy([CutMix(seed=s)], seed=1)(batch())["share"].numpy() for s in (0, 9)]
    np.testing.assert_array_equal(*views)
