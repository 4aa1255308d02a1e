"""Policies for recordings of speech: what two rooms and two voices differ in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from kd_keras.arguments import check_seed
from kd_keras.augment.contract import Augmentation
from kd_keras.augment.draws import Draws, own_key
from kd_keras.augment.layers.mix_up import MixUp
from kd_keras.augment.layers.mixing import Mixing
from kd_keras.augment.layers.waveform import (
    BandMask,
    Gain,
    Speed,
    TimeMask,
    TimeShift,
    WaveformLayer,
    WhiteNoise,
)
from kd_keras.augment.rows import local_rows
from kd_keras.training.batch import Batch

_LOUDEST = 1.0
_TOLERANCE = 1e-3  # for what float arithmetic may add


@keras.saving.register_keras_serializable(package="kd_keras")
class WaveformPolicy(Augmentation):
    """Apply layers to recordings so that the same seed and step give the same views.

    A view is a function of (seed, step, position in the global batch) and of the recording, as
    those of `Policy` are of images. What leaves -1..1 is clipped, as a microphone does.

    Args:
        layers: Layers for waveforms of `kd_keras.augment`, and at most one `MixUp`.
        seed: Any integer.
        name: What reports call it.

    Raises:
        TypeError: If `layers` holds something else.
        ValueError: If two layers mix.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import Gain, TimeShift, WaveformPolicy
    >>> policy = WaveformPolicy([TimeShift(0.1), Gain((-6, 6))], seed=7)
    >>> policy(tf.zeros((4, 8000)), step=12).shape
    TensorShape([4, 8000])
    """

    def __init__(self, layers: Sequence[Any], seed: int = 0, name: str = "policy"):
        for layer in layers:
            if not isinstance(layer, (WaveformLayer, MixUp)):
                raise TypeError(
                    "`layers` must be a list of layers for waveforms, such as TimeShift, Speed, "
                    f"Gain, WhiteNoise, TimeMask and BandMask, or MixUp. Received: {layer!r}."
                )
        if sum(isinstance(layer, Mixing) for layer in layers) > 1:
            raise ValueError(
                "A policy may mix once: after a second mixing a view has up to four labels. "
                f"Received: layers={list(layers)!r}. Keep one MixUp."
            )
        self.layers = list(layers)
        self.seed = check_seed(seed)
        self.name = name

    def augment(self, views: Batch, step: Any) -> Batch:
        if not self.layers:
            return views
        audio = tf.convert_to_tensor(views.x)
        views = views._replace(x=_checked(audio))
        rows = local_rows(audio)
        for index, layer in enumerate(self.layers):
            views = layer.apply(views, Draws(own_key(self.seed, index), step, rows))
            views = views._replace(x=tf.clip_by_value(views.x, -_LOUDEST, _LOUDEST))
        return views._replace(x=tf.cast(views.x, audio.dtype))

    def get_config(self) -> dict[str, Any]:
        return {
            "layers": keras.saving.serialize_keras_object(self.layers),
            "seed": self.seed,
            "name": self.name,
        }

    def __repr__(self) -> str:
        return f"WaveformPolicy({self.layers}, seed={self.seed}, name={self.name!r})"


def speech(seed: int = 0) -> WaveformPolicy:
    """Return small shifts in time, changes of speed and level, and noise.

    Args:
        seed: Any integer.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import speech
    >>> speech(seed=1)(tf.zeros((2, 8000)), step=0).shape
    TensorShape([2, 8000])
    """
    return WaveformPolicy(_small_changes(), seed=seed, name="speech")


def speech_strong(seed: int = 0) -> WaveformPolicy:
    """Return the policy `speech` with a wider speed, a gap in time and two in frequency.

    Args:
        seed: Any integer.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import speech_strong
    >>> speech_strong(seed=1)(tf.zeros((2, 8000)), step=0).shape
    TensorShape([2, 8000])

    Reference:
        The gaps: Park et al., "SpecAugment", Interspeech 2019, arXiv:1904.08779.
    """
    layers = [
        Speed((0.75, 1.3)),
        TimeShift(0.15),
        Gain((-12.0, 6.0)),
        BandMask(),
        BandMask(),
        WhiteNoise((0.0, 40.0)),
        TimeMask(),
    ]
    return WaveformPolicy(layers, seed=seed, name="speech_strong")


def speech_mixup(seed: int = 0) -> WaveformPolicy:
    """Return the policy `speech` followed by mixing two recordings.

    Args:
        seed: Any integer.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import speech_mixup
    >>> batch = {"images": tf.zeros((4, 8000)), "labels": tf.constant([3, 1, 4, 1])}
    >>> sorted(speech_mixup(seed=1)(batch, step=0))
    ['images', 'labels', 'second_labels', 'share']

    Reference:
        Zhang et al., "mixup: Beyond Empirical Risk Minimization", arXiv:1710.09412.
    """
    return WaveformPolicy([*_small_changes(), MixUp(alpha=0.4)], seed=seed, name="speech_mixup")


def _nothing(seed: int = 0) -> WaveformPolicy:
    return WaveformPolicy([], seed=seed, name="none")


# By the names that recipes know them by.
NAMED: Mapping[str, Callable[[int], WaveformPolicy]] = {
    "none": _nothing,
    "speech": speech,
    "speech_strong": speech_strong,
    "speech_mixup": speech_mixup,
}


def _small_changes() -> list[Any]:
    return [Speed((0.85, 1.15)), TimeShift(0.1), Gain((-6.0, 6.0)), WhiteNoise((5.0, 40.0))]


def _checked(audio: tf.Tensor) -> tf.Tensor:
    """Return recordings as float32 after checking their shape, their dtype and their range."""
    if len(audio.shape) != 2:
        raise ValueError(
            "A policy for waveforms takes recordings of shape (batch, samples). Received: x of "
            f"shape {tuple(audio.shape)}. Take one channel of stereo recordings: x[..., 0]."
        )
    remedy = "Divide the samples of a 16-bit recording by 32768."
    if not audio.dtype.is_floating:
        raise ValueError(
            "A policy for waveforms takes floats in -1..1. Received: x of dtype "
            f"{audio.dtype.name}. {remedy}"
        )
    audio = tf.cast(audio, tf.float32)
    loudest = tf.reduce_max(tf.abs(audio))
    right = loudest <= _LOUDEST + _TOLERANCE  # NaN fails, and a batch of none passes
    message = f"recordings must be in -1..1. {remedy} Received: samples up to"
    if not tf.executing_eagerly():
        # The Distiller turns assertions with this marker into a ValueError.
        check = tf.debugging.Assert(right, [f"kd_keras: {message}", loudest])
        with tf.control_dependencies([check]):
            return tf.identity(audio)
    if not right:
        raise ValueError(f"{message[0].upper()}{message[1:]} {float(loudest):g}")
    return audio
