"""What happens to recordings: shifts, speed, level, noise, gaps in time and in frequency."""

from __future__ import annotations

import abc
import math
from typing import Any

import keras
import tensorflow as tf

from kd_keras.augment.draws import Draws
from kd_keras.augment.layers.drawn import Drawn
from kd_keras.augment.layers.strength import checked_strength
from kd_keras.training.batch import Batch

_SECONDS = "a part of the recording"
# Below this a recording is silent, and no noise has a given distance to it.
_LEAST_POWER = 1e-12


class WaveformLayer(Drawn):
    """An augmentation of waveforms, (batch, samples) in -1..1, each by a strength of its own.

    Args:
        strength: A number, or `(low, high)` from which each recording draws its own.
        seed: Seed for use outside of a policy; inside, the policy's seed rules.
    """

    # What errors and the configuration call the strength, and what it may be.
    argument: str
    least: float
    most: float = math.inf
    meaning: str

    def __init__(self, strength: float | tuple[float, float], seed: int = 0):
        super().__init__(seed)
        self.strength = checked_strength(
            self.argument, strength, self.least, self.most, self.meaning
        )

    @abc.abstractmethod
    def changed(self, audio: tf.Tensor, strength: tf.Tensor, draws: Draws) -> tf.Tensor:
        """Return the recordings changed.

        Args:
            audio: (batch, samples) float32.
            strength: Of each recording, (batch, 1).
            draws: Random numbers for the rest.
        """

    def apply(self, views: Batch, draws: Draws) -> Batch:
        audio = views.x
        if len(audio.shape) != 2:
            raise ValueError(
                f"{type(self).__name__} takes waveforms of shape (batch, samples). Received: x of "
                f"shape {tuple(audio.shape)}. Take one channel of stereo recordings: x[..., 0]."
            )
        low, high = self.bounds
        strength = draws.uniform((tf.shape(audio)[0], 1), low, high)
        changed = self.changed(audio, strength, draws)
        return views._replace(x=tf.ensure_shape(changed, audio.shape))

    @property
    def bounds(self) -> tuple[float, float]:
        """Between which values a recording draws."""
        low, high = self.strength if isinstance(self.strength, list) else [self.strength] * 2
        return low, high

    def get_config(self) -> dict[str, Any]:
        return {self.argument: self.strength, "seed": self.seed}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.argument}={self.strength})"


@keras.saving.register_keras_serializable(package="kd_keras")
class TimeShift(WaveformLayer):
    """Move a recording by whole samples, forwards or backwards; what moves in is silence.

    Args:
        fraction: Largest shift as a part of the recording, 0 to 1.
        seed: Seed for use outside of a policy; inside, the policy's seed rules.

    Raises:
        ValueError: If `fraction` is out of range.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import TimeShift
    >>> TimeShift(fraction=0.1, seed=1)(tf.zeros((2, 8000)), step=0).shape
    TensorShape([2, 8000])
    """

    argument, least, most, meaning = "fraction", 0.0, 1.0, _SECONDS

    def __init__(self, fraction: float = 0.1, seed: int = 0):
        super().__init__(fraction, seed)

    @property
    def bounds(self) -> tuple[float, float]:
        high = super().bounds[1]
        return -high, high

    def changed(self, audio: tf.Tensor, strength: tf.Tensor, draws: Draws) -> tf.Tensor:
        samples = tf.shape(audio)[1]
        shift = tf.cast(tf.round(strength * tf.cast(samples, tf.float32)), tf.int32)
        return _read(audio, tf.range(samples)[tf.newaxis] - shift)


@keras.saving.register_keras_serializable(package="kd_keras")
class Speed(WaveformLayer):
    """Play a recording faster or slower, which moves its pitch and its formants too.

    y(t) = x(factor * t), by linear interpolation from the beginning on; what is missing at the end
    is silence. A voice of another size sounds so, which stands for speakers that were not recorded.

    Args:
        factor: From 0.25 to 4; above 1 is faster.
        seed: Seed for use outside of a policy; inside, the policy's seed rules.

    Raises:
        ValueError: If `factor` is out of range.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import Speed
    >>> Speed(factor=2.0)(tf.constant([[0.0, 0.1, 0.2, 0.3]]), step=0).numpy().round(3).tolist()
    [[0.0, 0.20000000298023224, 0.0, 0.0]]

    Reference:
        Ko, Peddinti, Povey and Khudanpur, "Audio Augmentation for Speech Recognition", Interspeech
        2015.
    """

    argument, least, most, meaning = "factor", 0.25, 4.0, "above 1 faster"

    def __init__(self, factor: float | tuple[float, float] = (0.9, 1.1), seed: int = 0):
        super().__init__(factor, seed)

    def changed(self, audio: tf.Tensor, strength: tf.Tensor, draws: Draws) -> tf.Tensor:
        place = strength * tf.cast(tf.range(tf.shape(audio)[1]), tf.float32)[tf.newaxis]
        before = tf.floor(place)
        share = place - before
        index = tf.cast(before, tf.int32)
        return (1.0 - share) * _read(audio, index) + share * _read(audio, index + 1)


@keras.saving.register_keras_serializable(package="kd_keras")
class Gain(WaveformLayer):
    """Make a recording louder or softer: x * 10^(decibels / 20).

    Args:
        decibels: From -80 to 80.
        seed: Seed for use outside of a policy; inside, the policy's seed rules.

    Raises:
        ValueError: If `decibels` is out of range.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import Gain
    >>> Gain(decibels=-20.0)(tf.constant([[1.0, -0.5]]), step=0).numpy().round(3).tolist()
    [[0.10000000149011612, -0.05000000074505806]]
    """

    argument, least, most, meaning = "decibels", -80.0, 80.0, "in decibels"

    def __init__(self, decibels: float | tuple[float, float] = (-6.0, 6.0), seed: int = 0):
        super().__init__(decibels, seed)

    def changed(self, audio: tf.Tensor, strength: tf.Tensor, draws: Draws) -> tf.Tensor:
        return audio * 10.0 ** (strength / 20.0)


@keras.saving.register_keras_serializable(package="kd_keras")
class WhiteNoise(WaveformLayer):
    """Add white noise at a signal-to-noise ratio.

    x + n, n ~ N(0, P * 10^(-snr / 10)), with P the mean of x^2 over the whole recording.

    Args:
        snr: In decibels, from -20 to 100; small is noisy.
        seed: Seed for use outside of a policy; inside, the policy's seed rules.

    Raises:
        ValueError: If `snr` is out of range.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import WhiteNoise
    >>> noisy = WhiteNoise(snr=0.0, seed=1)(0.1 * tf.ones((1, 8000)), step=0)
    >>> abs(float(tf.math.reduce_std(noisy)) - 0.1) < 0.005
    True
    """

    argument, least, most, meaning = "snr", -20.0, 100.0, "in decibels"

    def __init__(self, snr: float | tuple[float, float] = (5.0, 40.0), seed: int = 0):
        super().__init__(snr, seed)

    def changed(self, audio: tf.Tensor, strength: tf.Tensor, draws: Draws) -> tf.Tensor:
        power = tf.reduce_mean(tf.square(audio), axis=1, keepdims=True)
        deviation = tf.sqrt(tf.maximum(power, _LEAST_POWER)) * 10.0 ** (-strength / 20.0)
        return audio + deviation * draws.normal(tf.shape(audio))


@keras.saving.register_keras_serializable(package="kd_keras")
class TimeMask(WaveformLayer):
    """Silence one stretch of a recording: the time mask of SpecAugment, on the waveform.

    Teacher and student may make their spectrograms each in its own way; on the waveform they see
    the same mask, and nothing of it is left in the exported file.

    Args:
        fraction: Length of the stretch as a part of the recording, 0 to 1.
        seed: Seed for use outside of a policy; inside, the policy's seed rules.

    Raises:
        ValueError: If `fraction` is out of range.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import TimeMask
    >>> masked = TimeMask(fraction=0.25, seed=1)(tf.ones((1, 8000)), step=0)
    >>> int(tf.math.count_nonzero(masked))
    6000

    Reference:
        Park et al., "SpecAugment", Interspeech 2019, arXiv:1904.08779.
    """

    argument, least, most, meaning = "fraction", 0.0, 1.0, _SECONDS

    def __init__(self, fraction: float | tuple[float, float] = (0.0, 0.15), seed: int = 0):
        super().__init__(fraction, seed)

    def changed(self, audio: tf.Tensor, strength: tf.Tensor, draws: Draws) -> tf.Tensor:
        return tf.where(_stretch(tf.shape(audio)[1], strength, draws), 0.0, audio)


@keras.saving.register_keras_serializable(package="kd_keras")
class BandMask(WaveformLayer):
    """Take one band of frequencies out of a recording: the frequency mask of SpecAugment.

    The band is as wide in hertz wherever it lies, and is zero in the Fourier transform of the
    whole recording. As with `TimeMask`, all networks see the same, and the file has nothing of it.

    Args:
        fraction: Width of the band as a part of half the sample rate, 0 to 1.
        seed: Seed for use outside of a policy; inside, the policy's seed rules.

    Raises:
        ValueError: If `fraction` is out of range.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import BandMask
    >>> silent = BandMask(fraction=1.0)(tf.ones((1, 8000)), step=0)
    >>> float(tf.reduce_max(tf.abs(silent)))
    0.0

    Reference:
        Park et al., "SpecAugment", Interspeech 2019, arXiv:1904.08779.
    """

    argument, least, most, meaning = "fraction", 0.0, 1.0, "a part of half the sample rate"

    def __init__(self, fraction: float | tuple[float, float] = (0.0, 0.15), seed: int = 0):
        super().__init__(fraction, seed)

    def changed(self, audio: tf.Tensor, strength: tf.Tensor, draws: Draws) -> tf.Tensor:
        samples = tf.shape(audio)[1]
        spectrum = tf.signal.rfft(audio)
        masked = _stretch(tf.shape(spectrum)[1], strength, draws)
        spectrum = tf.where(masked, tf.zeros((), spectrum.dtype), spectrum)
        return tf.signal.irfft(spectrum, [samples])


def _read(audio: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """Return the samples at `index`, (batch, samples); silence where there are none."""
    samples = tf.shape(audio)[1]
    taken = tf.gather(audio, tf.clip_by_value(index, 0, samples - 1), axis=1, batch_dims=1)
    return tf.where((index >= 0) & (index < samples), taken, 0.0)


def _stretch(size: tf.Tensor, fraction: tf.Tensor, draws: Draws) -> tf.Tensor:
    """Return (batch, size), true on one stretch of a part of the size, anywhere inside."""
    length = tf.round(fraction * tf.cast(size, tf.float32))
    room = tf.cast(size, tf.float32) - length
    start = tf.floor(draws.uniform(tf.shape(fraction)) * (room + 1.0))
    place = tf.cast(tf.range(size), tf.float32)[tf.newaxis]
    return (place >= start) & (place < start + length)
