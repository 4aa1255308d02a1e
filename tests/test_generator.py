"""What is asked of a generator before anything is trained with it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras.generator import CheckedGenerator
from tests.generators import conditional, unconditional


@pytest.mark.parametrize(
    ("activation", "low", "high"), [("tanh", -1.0, 1.0), ("sigmoid", 0.0, 1.0)]
)
def test_the_range_is_read_from_the_last_activation_and_mapped(activation, low, high):
    model = unconditional(activation=activation)
    source = CheckedGenerator(model, value_range=(0, 255))
    assert source.generator_range == (low, high)
    assert (source.latent_shape, source.image_shape) == ((4,), (6, 6, 1))
    latents = tf.random.stateless_normal((3, 4), (1, 2))
    expected = (np.asarray(model(latents, training=False)) - low) / (high - low) * 255
    np.testing.assert_allclose(source.images(latents, None), expected, rtol=1e-5, atol=1e-3)


def test_an_operation_at_the_end_tells_the_range_too():
    z = keras.Input((36,))
    model = keras.Model(z, keras.ops.sigmoid(keras.layers.Reshape((6, 6, 1))(z)))
    assert CheckedGenerator(model).generator_range == (0.0, 1.0)
    assert CheckedGenerator(keras.Sequential([keras.Input((36,)), model])).generator_range == (
        0.0,
        1.0,
    )


@pytest.mark.parametrize("column", [False, True])
def test_class_ids_come_in_the_shape_that_the_model_takes(column):
    source = CheckedGenerator(conditional(column=column), num_classes=5)
    ids = tf.constant([0, 4])
    images = source.images(tf.zeros((2, 4)), ids).numpy()
    np.testing.assert_allclose(images[:, 0, 0, 0], (np.tanh([0, 0.8]) + 1) * 127.5, rtol=1e-5)


def test_a_subclassed_model_is_told_its_latents():
    class Decoder(keras.Model):
        def call(self, latents, training=None):
            return tf.tile(tf.tanh(latents)[:, :, None, None], [1, 1, 3, 1])

    with pytest.raises(ValueError, match="`latent` must be given.*latent=None"):
        CheckedGenerator(Decoder(), generator_range=(-1, 1))
    with pytest.raises(ValueError, match="`generator_range` must be given"):
        CheckedGenerator(Decoder(), latent=5)
    source = CheckedGenerator(Decoder(), latent=5, generator_range=(-1, 1), value_range=(0, 1))
    assert source.image_shape == (5, 3, 1)


def test_a_generator_that_draws_for_itself_is_refused():
    class Noisy(keras.layers.Layer):
        def call(self, x):
            return tf.clip_by_value(x + tf.random.normal(tf.shape(x)), 0.0, 1.0)

    model = keras.Sequential([unconditional(activation="sigmoid"), Noisy()])
    with pytest.raises(ValueError, match="draws random numbers of its own"):
        CheckedGenerator(model, generator_range=(0, 1))


def test_nothing_of_the_generator_moves():
    model = unconditional()
    before = [np.array(weight) for weight in model.weights]
    CheckedGenerator(model).images(tf.ones((8, 4)), None)
    assert model.trainable
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        (unconditional, {"latent": 3}, r"this generator takes \(4,\).*latent=3"),
        (unconditional, {"latent": 0}, "latent=0"),
        (unconditional, {"num_classes": 5}, "1 inputs. Leave `num_classes` out"),
        (conditional, {}, "2 inputs. Pass `num_classes`"),
        (conditional, {"num_classes": 1}, "an integer >= 2.*num_classes=1.*None"),
        (unconditional, {"generator_range": (1, -1)}, r"`generator_range` must be.*\(1, -1\)"),
        (unconditional, {"value_range": 255}, "`value_range` must be.*value_range=255"),
        (
            unconditional,
            {"generator_range": (0, 1)},
            r"outside of generator_range=\(0, 1\).*from -",
        ),
    ],
)
def test_what_contradicts_the_model_is_refused(model, arguments, message):
    with pytest.raises(ValueError, match=message):
        CheckedGenerator(model(), **arguments)


def test_what_makes_no_images_is_refused():
    with pytest.raises(TypeError, match="must be a keras.Model.*function"):
        CheckedGenerator(lambda latents: latents)
    flat = keras.Sequential([keras.Input((4,)), keras.layers.Dense(9, activation="tanh")])
    with pytest.raises(ValueError, match=r"must return images.*Received: shape \(4, 9\)"):
        CheckedGenerator(flat)
    z, c = keras.Input((4,)), keras.Input((5,))
    one_hot = keras.Model([z, c], keras.layers.Concatenate()([z, c]))
    with pytest.raises(ValueError, match=r"class ids of shape \(batch,\).*\(None, 5\)"):
        CheckedGenerator(one_hot, num_classes=5)
