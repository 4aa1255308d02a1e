"""Noise has the ratio that it says, a room an echo that dies away; both are the same each time."""

import numpy as np
import pytest

from kd_keras.evaluate.sound import noisy, reverberant
from kd_keras.tasks import AudioTask

AUDIO = np.random.default_rng(0).normal(0, 0.05, (4, 8000)).astype("float32")


@pytest.mark.parametrize("snr", [0, 20])
def test_noise_has_the_ratio_that_it_says(snr):
    noise = noisy(AUDIO, snr, seed=1) - AUDIO
    ratio = 10 * np.log10(np.square(AUDIO).mean(1) / np.square(noise).mean(1))
    np.testing.assert_allclose(ratio, snr, atol=0.3)
    np.testing.assert_array_equal(noisy(AUDIO, snr, seed=1), noisy(AUDIO, snr, seed=1))
    assert np.abs(noisy(AUDIO, snr, seed=2) - noisy(AUDIO, snr, seed=1)).max() > 1e-3


def test_an_echo_falls_by_sixty_decibels_and_keeps_the_power():
    click = np.zeros((1, 8000))
    click[0, 0] = 0.5
    echo = reverberant(click, share=0.5)[0]
    assert np.square(echo).sum() == pytest.approx(0.25)
    early, late = np.square(echo[1:401]).mean(), np.square(echo[3601:4000]).mean()
    # 3,600 of the 4,000 samples lie between them.
    assert 10 * np.log10(early / late) == pytest.approx(54, abs=3)
    assert np.abs(echo[4001:]).max() < 1e-12
    heard = reverberant(AUDIO)
    np.testing.assert_allclose(np.square(heard).mean(1), np.square(AUDIO).mean(1), rtol=1e-4)
    assert heard.dtype == np.float32


def test_silence_stays_finite_and_other_forms_are_refused():
    silence = np.zeros((1, 100), "float32")
    assert not reverberant(silence).any()
    assert np.abs(noisy(silence, 0)).max() < 1e-4
    with pytest.raises(ValueError, match=r"int16 of shape \(4, 8000\).*Divide"):
        noisy((AUDIO * 32768).astype("int16"), 10)
    with pytest.raises(ValueError, match="`share`"):
        reverberant(AUDIO, share=2)


def test_the_task_tries_three_levels_of_noise_and_a_room():
    changes = AudioTask().trials(seed=1).perturbations
    assert list(changes) == [
        "noise, SNR 20 dB",
        "noise, SNR 10 dB",
        "noise, SNR 0 dB",
        "reverberation",
    ]
    assert all(change(AUDIO).shape == AUDIO.shape for change in changes.values())
