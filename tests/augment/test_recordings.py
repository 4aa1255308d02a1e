"""Recordings change as the layers say, by (seed, step, position) alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.augment import (
    BandMask,
    Gain,
    MixUp,
    Speed,
    TimeMask,
    TimeShift,
    WaveformPolicy,
    WhiteNoise,
    speech_mixup,
    speech_strong,
)
from kd_keras.recipes.recipe import SpeechPolicyName
from kd_keras.tasks import AudioTask
from tests.conftest import sparse_crossentropy

SAMPLES = 512
AUDIO = np.random.default_rng(0).uniform(-0.3, 0.3, (6, SAMPLES)).astype("float32")


def tone(hertz, samples=2000, rate=8000):
    return (0.1 * np.sin(2 * np.pi * hertz * np.arange(samples) / rate))[None].astype("float32")


def loudest(audio, rate=8000):
    return np.abs(np.fft.rfft(audio)).argmax() * rate / len(audio)


def test_views_are_a_function_of_seed_step_and_position():
    policy = speech_strong(seed=3)
    views = policy(AUDIO, step=5).numpy()
    np.testing.assert_array_equal(views, policy(AUDIO, step=5))
    # A shorter batch, and a graph, whose arithmetic may differ in the last bits.
    np.testing.assert_allclose(views[:4], policy(AUDIO[:4], step=5), atol=1e-6)
    graph = tf.function(lambda x, step: policy(x, step=step), autograph=False)
    np.testing.assert_allclose(views, graph(AUDIO, tf.constant(5, tf.int64)), atol=1e-6)
    for other in (policy(AUDIO, step=6), speech_strong(seed=4)(AUDIO, step=5)):
        assert np.abs(views - other).mean(-1).min() > 1e-3
    assert np.abs(views).max() <= 1


def test_a_policy_is_saved_with_its_layers():
    policy = speech_mixup(seed=2)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(policy))
    np.testing.assert_array_equal(policy(AUDIO, step=1), copy(AUDIO, step=1))
    assert repr(copy) == repr(policy)


def test_a_shift_moves_whole_samples_and_shows_silence():
    ramp = np.arange(1, 101, dtype="float32")[None] / 200
    shifts = set()
    for step in range(8):
        shifted = TimeShift(0.2)(ramp, step=step)[0].numpy()
        first = np.flatnonzero(shifted)[0]
        shift = first if first else 1 - round(shifted[0] * 200)
        expected = np.zeros(100, "float32")
        there = [i for i in range(100) if 0 <= i - shift < 100]
        expected[there] = ramp[0, [i - shift for i in there]]
        np.testing.assert_array_equal(shifted, expected)
        shifts.add(int(shift))
    assert min(shifts) < 0 < max(shifts)
    assert max(map(abs, shifts)) <= 20


def test_speed_moves_the_pitch_and_gain_the_level():
    assert loudest(Speed(1.5)(tone(400), step=0)[0, :1300].numpy()) == pytest.approx(600, abs=7)
    np.testing.assert_allclose(Gain(6.0)(AUDIO, step=0), AUDIO * 10**0.3, rtol=1e-5)


@pytest.mark.parametrize("snr", [0.0, 20.0])
def test_noise_has_the_ratio_that_it_says(snr):
    noise = WhiteNoise(snr)(AUDIO, step=0) - AUDIO
    ratio = 10 * np.log10(np.square(AUDIO).mean(1) / np.square(noise).mean(1))
    np.testing.assert_allclose(ratio, snr, atol=1)


def test_masks_silence_one_stretch_of_time_or_one_band():
    masked = TimeMask(0.25)(np.ones((8, 400), "float32"), step=0).numpy()
    assert {int((row == 0).sum()) for row in masked} == {100}
    starts = [np.flatnonzero(row == 0)[0] for row in masked]
    assert all(
        (row[start : start + 100] == 0).all() for row, start in zip(masked, starts, strict=True)
    )
    assert len(set(starts)) > 4

    spectrum = np.abs(np.fft.rfft(BandMask(0.25)(AUDIO, step=0)))
    before = np.abs(np.fft.rfft(AUDIO))
    for row, was in zip(spectrum, before, strict=True):
        gone = np.flatnonzero(row < 1e-4 * was)
        assert len(gone) == 64 == gone[-1] - gone[0] + 1
        kept = np.setdiff1d(np.arange(len(row)), gone)
        np.testing.assert_allclose(row[kept], was[kept], rtol=1e-3)


def test_the_names_are_those_of_recipes_and_make_policies_of_their_name():
    task = AudioTask()
    assert ("none", *SpeechPolicyName.__args__) == task.policies
    for name in task.policies:
        assert task.policy(name, seed=1).name == name
    np.testing.assert_array_equal(task.policy("none", 1)(AUDIO, step=0), AUDIO)
    with pytest.raises(ValueError, match=r"`policy`.*'speech'.*'cutmix'"):
        task.policy("cutmix", 1)


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (AUDIO[..., None], r"\(batch, samples\).*\(6, 512, 1\).*one channel"),
        ((AUDIO * 32768).astype("int16"), "int16.*Divide the samples"),
        (AUDIO * 32768, "in -1..1.*Divide.*98"),
        (AUDIO * np.nan, "in -1..1.*nan"),
    ],
)
def test_recordings_of_another_form_are_refused(audio, message):
    with pytest.raises(ValueError, match=message):
        WaveformPolicy([Gain()])(audio, step=0)


def test_the_remedies_are_taken():
    policy = WaveformPolicy([Gain()])
    policy((AUDIO * 32768).astype("int16") / np.float32(32768), step=0)
    policy(AUDIO[..., None][..., 0], step=0)


def test_layers_of_another_kind_are_refused():
    with pytest.raises(TypeError, match=r"TimeShift.*Received: <"):
        WaveformPolicy([keras.layers.GaussianNoise(0.1)])
    with pytest.raises(ValueError, match="mix once"):
        WaveformPolicy([MixUp(), MixUp()])
    with pytest.raises(ValueError, match=r"`snr` must be.*200"):
        WhiteNoise(200)


def test_fit_trains_on_the_views_and_refuses_samples_of_16_bits():
    student = keras.Sequential([keras.Input((SAMPLES,)), keras.layers.Dense(3)])
    model = kd_keras.Supervised(student, augmentation=speech_mixup(seed=1))
    model.compile("sgd", sparse_crossentropy())
    labels = np.arange(6) % 3
    model.fit(AUDIO, labels, batch_size=6, verbose=0)
    with pytest.raises(ValueError, match="in -1..1"):
        model.fit(AUDIO * 32768, labels, batch_size=6, verbose=0)
