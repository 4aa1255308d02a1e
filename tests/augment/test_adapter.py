import keras
import keras_cv
import numpy as np
import pytest
import tensorflow as tf

from kd_keras import augment
from kd_keras.augment import GaussianNoise, Policy, RandomSubset, standard
from kd_keras.augment.adapter import as_augmentation, augment_batch
from kd_keras.training.batch import Batch

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3)).astype("uint8")
ONE_HOT = np.eye(6, dtype="float32")


def apply(augmentation, x=IMAGES, y=None, sample_weight=None, step=0):
    return augment_batch(as_augmentation(augmentation), Batch(x, y, sample_weight), step)


def test_nothing_is_none():
    assert as_augmentation(None) is None
    assert as_augmentation([]) is None
    assert as_augmentation(()) is None
    views = apply(None, y=ONE_HOT)
    np.testing.assert_array_equal(views.x, IMAGES)
    assert views.mix is None


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        ("standard", r"kd_keras.augment.named\('standard'\)"),
        (keras.layers.RandomFlip, r"Pass an instance: RandomFlip\(...\)"),
        ([standard(), [standard()]], "one flat list"),
        (7, "function of the images"),
        ({"images": None}, "function of the images"),
    ],
)
def test_what_is_no_augmentation_is_refused_with_the_remedy(wrong, remedy):
    with pytest.raises(TypeError, match=remedy):
        as_augmentation(wrong)


def test_a_policy_draws_by_the_step_that_it_is_given():
    policy = standard(seed=4)
    views = apply(policy, y=np.arange(6), sample_weight=np.ones(6), step=tf.constant(9, tf.int64))
    np.testing.assert_array_equal(views.x, policy(IMAGES, step=9))
    np.testing.assert_array_equal(views.y, np.arange(6))


def test_a_list_acts_in_order():
    views = apply([lambda x: tf.cast(x, tf.float32), lambda x: x * 2, lambda x: x + 1])
    np.testing.assert_array_equal(views.x, IMAGES.astype("float32") * 2 + 1)


def test_training_is_passed_where_the_signature_has_it_and_only_there():
    seen = {}

    def with_training(x, training=False):
        seen["training"] = training
        return x

    def with_anything(x, **kwargs):
        seen["kwargs"] = kwargs
        return x

    apply([with_training, with_anything, lambda x: x])
    assert seen == {"training": True, "kwargs": {}}


def test_a_callable_that_names_step_gets_the_count_of_steps():
    def shifted(x, step):
        return tf.cast(x, tf.float32) + tf.cast(step, tf.float32)

    np.testing.assert_array_equal(apply(shifted, step=7).x, IMAGES + 7.0)
    mixed = apply([augment.MixUp(), shifted], y=np.arange(6), step=7)
    alone = apply(augment.MixUp(), y=np.arange(6), step=7)
    np.testing.assert_array_equal(mixed.x, np.asarray(alone.x, "float32") + 7)
    inside = Policy([lambda images, step: images * 0 + tf.cast(step, tf.float32)])
    assert set(np.unique(inside(IMAGES, step=9))) == {9}


def test_keras_noise_really_acts_on_bytes_too():
    views = apply(keras.layers.GaussianNoise(1.0))
    assert 0.9 < np.std(views.x - IMAGES) < 1.1


def test_an_error_inside_a_callable_is_not_hidden():
    def broken(x, training=True):
        raise TypeError("my own fault")

    with pytest.raises(TypeError, match="my own fault"):
        apply(broken)


@pytest.mark.parametrize(
    "layer",
    [keras.layers.RandomFlip("horizontal"), keras_cv.layers.RandomFlip()],
    ids=["keras", "keras_cv"],
)
@pytest.mark.parametrize(
    "y",
    [np.arange(6), np.arange(6, dtype="int32")[:, None], ONE_HOT, ONE_HOT.astype("int64"), None],
    ids=["sparse", "column", "one-hot", "one-hot-int", "none"],
)
def test_image_layers_bring_labels_back_as_they_went_in(layer, y):
    views = apply(layer, y=y)
    assert np.asarray(views.x).shape == IMAGES.shape
    if y is None:
        assert views.y is None
    else:
        assert (views.y.dtype.name, views.y.shape) == (y.dtype.name, y.shape)
        np.testing.assert_array_equal(views.y, y)


def test_structures_of_labels_pass_by_image_layers():
    y = {"a": np.arange(6), "b": ONE_HOT}
    views = apply(keras_cv.layers.RandomFlip(), y=y)
    np.testing.assert_array_equal(views.y["a"], y["a"])


def test_a_keras_cv_layer_may_change_labels():
    class Reverse(keras_cv.layers.VectorizedBaseImageAugmentationLayer):
        def augment_images(self, images, transformations, **kwargs):
            return images

        def augment_labels(self, labels, transformations, **kwargs):
            return 5 - labels

    np.testing.assert_array_equal(apply(Reverse(), y=np.arange(6)).y, 5 - np.arange(6))


FOREIGN_MIXING = [
    keras.layers.MixUp(),
    keras.layers.CutMix(),
    keras_cv.layers.MixUp(),
    keras_cv.layers.CutMix(),
]


@pytest.mark.parametrize("layer", FOREIGN_MIXING, ids=lambda layer: type(layer).__module__)
@pytest.mark.parametrize(
    "y", [np.arange(6), np.arange(6, dtype="float32")[:, None], ONE_HOT.astype("int32")]
)
def test_foreign_mixing_is_refused_where_it_would_blend_class_ids(layer, y):
    with pytest.raises(ValueError, match=r"kd_keras.augment.MixUp\(\)"):
        apply(layer, y=y)


@pytest.mark.parametrize("layer", FOREIGN_MIXING, ids=lambda layer: type(layer).__module__)
def test_foreign_mixing_works_on_one_hot_labels_without_weights(layer):
    views = apply(layer, y=ONE_HOT)
    np.testing.assert_allclose(np.sum(views.y, axis=1), np.ones(6), atol=1e-5)
    with pytest.raises(ValueError, match="sample_weight"):
        apply(layer, y=ONE_HOT, sample_weight=np.ones(6, "float32"))


def test_foreign_mixing_hidden_in_a_pipeline_is_refused():
    hidden = keras.layers.Pipeline([keras.layers.MixUp()])
    with pytest.raises(ValueError, match="MixUp of keras"):
        apply(hidden, y=ONE_HOT)


def test_plain_callables_take_any_structure_and_image_layers_do_not():
    x = {"ids": np.zeros((6, 4), "int32"), "mask": np.ones((6, 4), "float32")}
    views = apply(lambda x: {**x, "mask": x["mask"] * 0}, x=x)
    np.testing.assert_array_equal(views.x["mask"], np.zeros((6, 4)))
    with pytest.raises(TypeError, match="one image tensor"):
        apply(keras.layers.RandomFlip(), x=x)
    with pytest.raises(TypeError, match="augments one tensor"):
        apply(standard(), x=x)


def test_a_callable_must_return_the_batch():
    for wrong in (lambda x: x[:3], lambda x: None, lambda x: 3):
        with pytest.raises(ValueError, match="tensors of the batch that it got"):
            apply(wrong)


def test_labels_for_each_pixel_are_not_left_behind():
    masks = np.zeros((6, 8, 8, 1), "int32")
    for layer in (keras.layers.RandomFlip(), keras_cv.layers.RandomFlip()):
        with pytest.raises(ValueError, match="RandomFlip may move pixels"):
            apply(layer, y=masks)
    apply(keras.layers.RandomBrightness(0.1), y=masks)


def test_after_mixing_layers_change_only_the_images():
    from kd_keras.augment import MixUp

    views = apply([MixUp(1.0), keras_cv.layers.RandomFlip(), standard()], y=np.arange(6))
    assert views.mix.y.shape == (6,)
    np.testing.assert_array_equal(views.y, apply(MixUp(1.0), y=np.arange(6)).y)


@pytest.mark.slow
def test_the_adapter_can_be_traced_with_an_unknown_batch_size():
    augmentation = as_augmentation(
        [Policy([keras_cv.layers.RandomFlip()]), keras_cv.layers.RandomBrightness(0.1)]
    )

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 8, 8, 3], tf.uint8),
            tf.TensorSpec([None], tf.int64),
            tf.TensorSpec([], tf.int64),
        ]
    )
    def views(x, y, step):
        result = augment_batch(augmentation, Batch(x, y), step)
        return result.x, result.y

    for count in (6, 1):
        x, y = views(IMAGES[:count], np.arange(count), 3)
        assert x.shape == (count, 8, 8, 3)
        np.testing.assert_array_equal(y, np.arange(count))


@pytest.mark.parametrize("kind", [Policy, lambda layers: RandomSubset(layers, 1)])
def test_equal_seeds_in_one_list_draw_different_numbers(kind):
    def make():
        return kind([GaussianNoise(0.05)])

    images = np.full((8, 16, 16, 1), 128.0, "float32")
    one = apply(make(), images).x - images
    first_and_last = apply([make(), lambda x: x, make()], images).x - images
    second = first_and_last - one
    assert float(tf.math.reduce_std(second)) > 1.0
    correlation = np.corrcoef(np.ravel(one), np.ravel(second))[0, 1]
    assert abs(correlation) < 0.1  # 1 where the second draws what the first drew


def test_the_first_seeded_part_of_a_list_keeps_its_views():
    policy = standard(seed=4)
    views = apply([lambda x: x, policy, lambda x: x], step=3)
    np.testing.assert_array_equal(views.x, policy(IMAGES, step=3))
