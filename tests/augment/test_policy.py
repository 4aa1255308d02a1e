import keras
import keras_cv
import numpy as np
import pytest
import tensorflow as tf

from kd_keras.augment import CutMix, GaussianNoise, MixUp, Policy, RandomResizedCrop, standard


@pytest.fixture(scope="module")
def images():
    return tf.constant(np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype("uint8"))


SEEDABLE = [
    keras_cv.layers.RandomFlip("horizontal_and_vertical"),
    keras_cv.layers.RandomCutout(0.4, 0.4),
    keras_cv.layers.RandomCropAndResize((8, 8), (0.3, 0.9), (0.8, 1.2)),
    keras_cv.layers.RandomColorJitter((0, 255), 0.2, 0.2, 0.2, 0.2),
    keras_cv.layers.RandomChoice(
        [keras_cv.layers.RandomFlip("vertical"), keras_cv.layers.RandomRotation(0.2)]
    ),
]


@pytest.mark.parametrize("layer", SEEDABLE, ids=lambda layer: type(layer).__name__)
def test_keras_cv_layers_become_a_function_of_seed_step_and_position(layer, images):
    policy = Policy([layer], seed=1)

    @tf.function(
        input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.uint8), tf.TensorSpec([], tf.int64)]
    )
    def graph(images, step):
        # With class ids: keras-cv's RandomChoice alone fails on labels of whole numbers.
        labels = tf.range(tf.shape(images)[0])
        return policy({"images": images, "labels": labels}, step=step)["images"]

    views = graph(images, 7).numpy()
    np.testing.assert_array_equal(views, policy(images, step=7))
    np.testing.assert_array_equal(views[:3], graph(images[:3], 7))
    assert not np.array_equal(views, graph(images, 8))
    repeated = graph(tf.repeat(images[:1], 12, axis=0), 7).numpy()
    assert len({view.tobytes() for view in repeated}) > 1


def test_a_layer_of_a_policy_still_works_alone(images):
    layer = keras_cv.layers.RandomBrightness(0.5)
    Policy([layer])(images)
    alone = [layer(images).numpy() for _ in range(2)]
    assert not np.array_equal(*alone)


def test_two_equal_layers_of_a_policy_draw_different_numbers(images):
    grey = np.full((4, 8, 8, 1), 128, "float32")
    once = Policy([GaussianNoise(0.05)])(grey) - 128
    twice = Policy([GaussianNoise(0.05), GaussianNoise(0.05)])(grey) - 128
    # Twice the same noise would have twice the spread, not 1.41 times.
    assert 1.2 < np.std(twice) / np.std(once) < 1.65


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.RandomFlip(seed=1),
        keras.layers.GaussianNoise(0.1),
        keras_cv.layers.RandomCutout(0.3, 0.3, fill_mode="gaussian_noise"),
        lambda images: tf.random.shuffle(images),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_layer_whose_random_state_cannot_be_seeded_is_refused(layer, images):
    for call in (Policy([layer]), tf.function(Policy([layer]))):
        with pytest.raises(ValueError, match="keeps a random state of its own"):
            call(images)


def test_deterministic_callables_and_keras_layers_are_welcome(images):
    policy = Policy([lambda images: images[:, ::-1], keras.layers.Rescaling(0.5)])
    expected = np.round(np.asarray(images, "float32")[:, ::-1] * 0.5)
    np.testing.assert_array_equal(policy(images), expected.astype("uint8"))


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        (keras_cv.layers.RandomFlip(), TypeError, r"pass \[layer\]"),
        ([keras_cv.layers.RandomFlip], TypeError, r"Pass an instance: RandomFlip\(...\)"),
        ([3], TypeError, "3 of type int"),
        ([standard()], TypeError, "cannot hold a policy"),
        ([keras_cv.layers.MixUp()], TypeError, "kd_keras.augment.MixUp"),
        ([keras.layers.CutMix()], TypeError, "kd_keras.augment.CutMix"),
        ([MixUp(), CutMix()], ValueError, "may mix once"),
    ],
)
def test_wrong_layers_are_refused(layers, error, message):
    with pytest.raises(error, match=message):
        Policy(layers)


@pytest.mark.parametrize("value_range", [(255, 0), (0,), "255", (0, None), 255])
def test_a_wrong_value_range_is_refused(value_range):
    with pytest.raises(ValueError, match="`value_range` must be"):
        Policy([], value_range=value_range)


@pytest.mark.parametrize("seed", [1.5, "1", None, True])
def test_a_wrong_seed_is_refused(seed):
    with pytest.raises(TypeError, match="`seed` must be an integer"):
        Policy([], seed=seed)


@pytest.mark.parametrize("seed", [-1, 0, 2**70])
def test_any_integer_is_a_seed(seed, images):
    assert Policy([keras_cv.layers.RandomFlip()], seed=seed)(images).shape == images.shape


def test_the_form_of_the_inputs_is_kept(images):
    policy = Policy([keras_cv.layers.RandomFlip()])
    labels, weights = tf.range(5), tf.ones(5)
    batch = {"images": images, "labels": labels, "sample_weight": weights}
    views = policy(batch)
    assert list(views) == ["images", "labels", "sample_weight"]
    np.testing.assert_array_equal(views["labels"], labels)
    assert views["labels"].dtype == tf.int32
    assert policy(batch, training=False) is batch
    with pytest.raises(ValueError, match="bounding_boxes"):
        policy({"images": images, "bounding_boxes": weights})


def test_a_single_image_is_refused(images):
    with pytest.raises(ValueError, match=r"shape \(8, 8, 3\)"):
        Policy([keras_cv.layers.RandomFlip()])(images[0])


def test_labels_for_each_pixel_are_refused_where_pixels_may_move(images):
    masks = tf.zeros((5, 8, 8), tf.int32)
    with pytest.raises(ValueError, match="RandomFlip may move pixels"):
        Policy([keras_cv.layers.RandomFlip()])({"images": images, "labels": masks})
    still = Policy([keras_cv.layers.RandomBrightness(0.1), GaussianNoise(0.1), MixUp()])
    assert still({"images": images, "labels": masks})["labels"].shape == (5, 8, 8)


def test_colour_layers_leave_one_channel_images_grey_and_refuse_four():
    saturate = Policy([keras_cv.layers.RandomSaturation((0.9, 0.9))])
    grey = tf.reshape(tf.range(16, dtype=tf.float32) * 16, (1, 4, 4, 1))
    np.testing.assert_allclose(saturate(grey), grey, atol=1e-3)
    with pytest.raises(ValueError, match="1 or 3 channels"):
        saturate(tf.zeros((1, 4, 4, 4)))


def test_layers_may_change_the_size_of_the_images(images):
    crop = Policy([keras_cv.layers.RandomCrop(6, 5)])
    assert crop(images).shape == (5, 6, 5, 3)


def test_the_batch_size_may_be_unknown(images):
    policy = Policy([RandomResizedCrop(), GaussianNoise(0.1), CutMix()], seed=2)

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.uint8)])
    def views(images):
        result = policy(images, step=1)
        assert result.shape.as_list() == [None, 8, 8, 3]
        return result

    np.testing.assert_array_equal(views(images), policy(images, step=1))
    assert views(images[:0]).shape == (0, 8, 8, 3)


def test_a_policy_works_in_a_tf_data_pipeline(images):
    policy = Policy([keras_cv.layers.RandomFlip()], seed=1)
    dataset = tf.data.Dataset.from_tensor_slices(images).repeat(2).batch(5)
    views = list(dataset.enumerate().map(lambda step, batch: policy(batch, step=step)))
    np.testing.assert_array_equal(views[0], policy(images, step=0))
    np.testing.assert_array_equal(views[1], policy(images, step=1))


def test_half_precision_images_and_policies_keep_class_ids_and_dtype():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        policy = Policy([keras_cv.layers.RandomFlip(), GaussianNoise(0.01)])
    finally:
        keras.config.set_dtype_policy("float32")
    labels = tf.constant([2049, 100_001], tf.int64)
    views = policy({"images": tf.ones((2, 4, 4, 3), tf.float16) * 200, "labels": labels})
    assert views["images"].dtype == tf.float16
    np.testing.assert_array_equal(views["labels"], labels)
