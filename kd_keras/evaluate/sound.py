"""What recordings meet outside of a studio: noise and rooms, the same for every model."""

from __future__ import annotations

import numpy as np

from kd_keras.arguments import check_number, check_seed

_LEAST_POWER = 1e-12  # of silence, to which no noise has a given distance


def noisy(audio: np.ndarray, snr: float, seed: int = 0) -> np.ndarray:
    """Return recordings under white noise at a signal-to-noise ratio.

    clip(x + n, -1, 1) with n ~ N(0, P * 10^(-snr / 10)) and P the mean of x^2 over the recording.

    Args:
        audio: (batch, samples) floats in -1..1.
        snr: In decibels, -100 to 100.
        seed: Seed of the noise; recording i of a batch meets the same noise each time.

    Returns:
        Of the shape and dtype of `audio`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> import numpy as np
    >>> from kd_keras.evaluate.sound import noisy
    >>> round(float(noisy(np.full((1, 8000), 0.1), snr=20.0).std()), 3)
    0.01
    """
    snr = check_number("snr", snr, low=-100, high=100)
    audio = _checked(audio)
    power = np.maximum(np.mean(np.square(audio, dtype="float64"), 1, keepdims=True), _LEAST_POWER)
    noise = np.random.default_rng(check_seed(seed)).standard_normal(audio.shape)
    heard = audio + np.sqrt(power) * 10.0 ** (-snr / 20.0) * noise
    return np.clip(heard, -1.0, 1.0).astype(audio.dtype)


def reverberant(audio: np.ndarray, share: float = 0.4, seed: int = 0) -> np.ndarray:
    """Return recordings as in a room whose echo dies away.

    x * h, with h(0) = 1 and behind it white noise that falls by 60 decibels in a share of the
    recording's length and has together as much energy as the direct sound; each recording keeps its
    power.

    Args:
        audio: (batch, samples) floats in -1..1.
        share: Of the length of a recording, until the echo has fallen by 60 decibels; above 0, at
            most 1. Of a second 0.4 is a living room.
        seed: Seed of the room, which is one for all recordings.

    Returns:
        Of the shape and dtype of `audio`; the echo behind the end is cut off.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> import numpy as np
    >>> from kd_keras.evaluate.sound import reverberant
    >>> click = np.zeros((1, 800)); click[0, 0] = 0.5
    >>> echo = reverberant(click)[0]
    >>> bool(np.abs(echo[1:160]).mean() > np.abs(echo[160:]).mean() > 0)
    True
    """
    share = check_number("share", share, above=0, high=1)
    audio = _checked(audio)
    samples = audio.shape[1]
    length = max(2, round(share * samples))
    falling = 10.0 ** (-3.0 * np.arange(1, length) / length)
    tail = falling * np.random.default_rng(check_seed(seed)).standard_normal(length - 1)
    room = np.concatenate([[1.0], tail / np.linalg.norm(tail)])
    size = samples + length - 1
    heard = np.fft.irfft(np.fft.rfft(audio, size) * np.fft.rfft(room, size), size)[:, :samples]
    power, now = (np.mean(np.square(x), 1, keepdims=True) for x in (audio, heard))
    heard *= np.sqrt(power / np.maximum(now, _LEAST_POWER))
    return np.clip(heard, -1.0, 1.0).astype(audio.dtype)


def _checked(audio: np.ndarray) -> np.ndarray:
    audio = np.asarray(audio)
    if audio.ndim != 2 or not np.issubdtype(audio.dtype, np.floating):
        raise ValueError(
            "`audio` must be floats of shape (batch, samples) in -1..1. Received: "
            f"{audio.dtype} of shape {audio.shape}. Divide 16-bit samples by 32768."
        )
    return audio
