"""An augmentation is a callable, and only image layers assume images: token ids and waveforms."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.augment import MixUp
from kd_keras.augment.adapter import as_augmentation, augment_batch
from kd_keras.losses import KLDivergence
from kd_keras.training.batch import Batch
from tests.conftest import sparse_crossentropy

RANDOM = np.random.default_rng(0)
MASK = 0


def masked(seed, rate=0.3):
    """An augmentation of token ids: hide some of them, chosen by (seed, step)."""

    def mask_tokens(tokens, step):
        chance = tf.random.stateless_uniform(tf.shape(tokens), tf.stack([seed, step]))
        return tf.where(chance < rate, MASK, tokens)

    return mask_tokens


class Spy(keras.layers.Layer):
    """Keeps the last inputs that it saw in training."""

    def build(self, shape):
        self.seen = self.add_weight(shape=(8, *shape[1:]), trainable=False, name="seen")

    def call(self, x, training=False):
        if training:
            self.seen.assign(tf.cast(x, tf.float32))
        return x


def text_net(width):
    inputs = keras.Input((12,), dtype="int32")
    x = keras.layers.Embedding(20, width)(Spy(name="spy")(inputs))
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling1D()(x)))


def audio_net(width):
    inputs = keras.Input((64, 1))
    x = keras.layers.Conv1D(width, 5, activation="relu")(Spy(name="spy")(inputs))
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling1D()(x)))


TOKENS = RANDOM.integers(1, 20, (24, 12)).astype("int32")
WAVES = RANDOM.normal(0, 0.3, (24, 64, 1)).astype("float32")
LABELS = RANDOM.integers(0, 3, 24)


def fitted(net, x, augmentation):
    """Two epochs of three batches in the order of the data: the losses, and the last inputs."""
    keras.utils.set_random_seed(0)
    student = net(2)
    distiller = kd_keras.Distiller(
        net(4), student, KLDivergence(2.0), augmentation=augmentation, student_loss_weight=0.5
    )
    distiller.compile("adam", sparse_crossentropy(), metrics=["accuracy"])
    history = distiller.fit(x, LABELS, batch_size=8, epochs=2, shuffle=False, verbose=0).history
    evaluated = distiller.evaluate(x, LABELS, batch_size=8, verbose=0, return_dict=True)
    assert np.isfinite(history["loss"]).all() and np.isfinite(evaluated["loss"])
    return history["loss"], student.get_layer("spy").seen.numpy()


@pytest.mark.slow
def test_token_ids_are_masked_by_seed_and_step_in_fit():
    losses, seen = fitted(text_net, TOKENS, masked(1))
    # Six steps are counted from 0 on; the last one saw the last eight examples.
    expected = masked(1)(tf.constant(TOKENS[16:]), tf.constant(5, tf.int64))
    np.testing.assert_array_equal(seen, expected)
    assert 0.1 < np.mean(expected == MASK) < 0.5
    again, _ = fitted(text_net, TOKENS, masked(1))
    np.testing.assert_array_equal(losses, again)
    others, _ = fitted(text_net, TOKENS, masked(2))
    plain, seen = fitted(text_net, TOKENS, None)
    assert losses != others and losses != plain
    np.testing.assert_array_equal(seen, TOKENS[16:])


def test_waveforms_get_noise_in_fit_from_a_layer_of_keras():
    _, seen = fitted(audio_net, WAVES, keras.layers.GaussianNoise(0.1, seed=3))
    assert np.std(seen - WAVES[16:]) == pytest.approx(0.1, rel=0.15)


@pytest.mark.slow
def test_waveforms_get_seeded_gain_and_are_mixed_in_fit():
    def gain(waves, step):
        return waves * tf.random.stateless_uniform([tf.shape(waves)[0], 1, 1], [7, step], 0.5, 1.5)

    augmentation = [gain, MixUp(0.4, seed=2)]
    losses, seen = fitted(audio_net, WAVES, augmentation)
    expected = augment_batch(
        as_augmentation(augmentation), Batch(WAVES[16:], LABELS[16:]), tf.constant(5, tf.int64)
    )
    np.testing.assert_allclose(seen, expected.x, atol=1e-6)
    np.testing.assert_array_equal(losses, fitted(audio_net, WAVES, augmentation)[0])
    assert losses != fitted(audio_net, WAVES, gain)[0]


def test_token_ids_are_not_blended():
    with pytest.raises(ValueError, match="ids of tokens"):
        fitted(text_net, TOKENS, MixUp())
