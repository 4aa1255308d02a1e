"""Recordings of words: a TFDS set that is cut by speaker, and a generated one of tones."""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from kd_keras.data.source import AudioSource, Cut
from kd_keras.data.splits import Part
from kd_keras.recordings import FULL_SCALE


@dataclasses.dataclass(frozen=True)
class SpeechSource(AudioSource):
    """Recordings, each of one word of one speaker.

    A network is used by people whom it has not heard. So the speakers are cut, not the recordings:
    in alphabetical order the last is for test, the one before for validation, the others to train
    on.
    """

    sample_rate: int = dataclasses.field(default=8000, init=False)

    @property
    @abc.abstractmethod
    def speakers(self) -> Sequence[str]:
        """Who speaks in each recording, in the order in which they are stored."""

    @abc.abstractmethod
    def all_encoded(self) -> tf.data.Dataset:
        """Return (encoded recording, label) of all recordings, in the order of `speakers`."""

    @property
    def available(self) -> dict[str, int]:
        return {split: int(members.sum()) for split, members in self._members.items()}

    def encoded(self, part: Part) -> tf.data.Dataset:
        members = tf.constant(self._members[part.split])
        spoken = self.all_encoded().enumerate().filter(lambda place, _: members[place])
        chosen = spoken.skip(part.start).take(part.examples)
        # Behind a filter TensorFlow does not know how many there are, and Keras warns of an end.
        counted = chosen.apply(tf.data.experimental.assert_cardinality(part.examples))
        return counted.map(lambda _, example: example)

    def cut(self, fraction: float) -> Cut:
        del fraction  # of recordings; here whole speakers are cut off
        train, held, last = (Part(split, 0, count) for split, count in self.available.items())
        *_, validation, test = self._voices
        return Cut(
            self, train, held, last, f", by speaker: {validation} is validation, {test} is test"
        )

    @functools.cached_property
    def _voices(self) -> list[str]:
        return sorted(set(self.speakers))

    @functools.cached_property
    def _members(self) -> dict[str, np.ndarray]:
        *_, validation, test = self._voices
        speakers = np.array(self.speakers)
        held = {"validation": speakers == validation, "test": speakers == test}
        return {"train": ~(held["validation"] | held["test"]), **held}


@dataclasses.dataclass(frozen=True)
class SpokenDigits(SpeechSource):
    """The Free Spoken Digit Dataset as TFDS prepared it: six people say 0 to 9, fifty times each.

    Recordings are padded with silence to one second. Of 20 of the 3,000 that are longer, the first
    second is taken.

    Attributes:
        builder: The prepared builder.
    """

    builder: tfds.core.DatasetBuilder

    samples = 8000

    @property
    def version(self) -> str:
        return str(self.builder.version)

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.builder.info.features["label"].names)

    @functools.cached_property
    def speakers(self) -> Sequence[str]:
        names = self._examples.map(lambda example: example["audio/filename"])
        batches = names.batch(1000).as_numpy_iterator()
        # "7_jackson_32.wav": the digit, who says it, and the how-many-eth time.
        return [name.decode().split("_")[1] for batch in batches for name in batch]

    def all_encoded(self) -> tf.data.Dataset:
        return self._examples.map(lambda example: (example["audio"], example["label"]))

    def decode(self, encoded: Any, label: Any) -> tuple[tf.Tensor, tf.Tensor]:
        encoded = self.builder.info.features["audio"].decode_example(encoded)
        beginning = tf.cast(encoded[: self.samples], tf.float32) / FULL_SCALE
        audio = tf.pad(beginning, [[0, self.samples - tf.shape(beginning)[0]]])
        return tf.ensure_shape(audio, self.input_shape), tf.cast(label, tf.int64)

    @property
    def _examples(self) -> tf.data.Dataset:
        return self.builder.as_dataset(
            split="train",  # which is all that there is
            decoders={"audio": tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(try_autocache=False, skip_prefetch=True),
        )


@dataclasses.dataclass(frozen=True)
class Tones(SpeechSource):
    """Hums of six made-up voices, half a second each, that rise, fall, stay or come in bursts.

    They need no file and are made in a moment, the same each time: for tests and first tries.
    """

    version = "1.0.0"
    class_names = ("rising", "falling", "steady", "bursts")
    samples = 4000

    @property
    def speakers(self) -> Sequence[str]:
        return _tones()[2]

    def all_encoded(self) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(_tones()[:2])

    def decode(self, encoded: Any, label: Any) -> tuple[tf.Tensor, tf.Tensor]:
        return encoded, tf.cast(label, tf.int64)


def is_spoken_digit(builder: tfds.core.DatasetBuilder) -> bool:
    """Whether a builder is that of `SpokenDigits`, whose speakers are known from its file names."""
    return builder.name == "spoken_digit"


_VOICES = 6
_TIMES = 16  # that each voice hums each class


@functools.cache
def _tones() -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return recordings (examples, samples), labels and speakers; a rule and a fixed seed."""
    random = np.random.default_rng(0)
    samples, rate = Tones.samples, Tones.sample_rate
    time = np.arange(samples) / rate
    audio, labels, speakers = [], [], []
    for voice in range(_VOICES):
        pitch, brightness = 110.0 * 1.2**voice, random.uniform(0.4, 0.8)
        for label in np.tile(np.arange(len(Tones.class_names)), _TIMES):
            length = random.uniform(0.3, 0.45)
            start = random.uniform(0.0, time[-1] - length)
            inside = np.clip((time - start) / length, 0.0, 1.0)
            bend = random.uniform(0.3, 0.6) * {0: 1.0, 1: -1.0}.get(label, 0.0)
            hertz = pitch * random.uniform(0.95, 1.05) * 2.0 ** (bend * (inside - 0.5))
            phase = 2.0 * np.pi * np.cumsum(hertz) / rate
            hum = sum(brightness**k * np.sin((k + 1) * phase) for k in range(6))
            envelope = np.sin(np.pi * inside) ** 0.5
            if label == 3:
                envelope *= np.sin(3.0 * np.pi * inside) > 0
            loudness = random.uniform(0.03, 0.3)
            noise = random.normal(0.0, 0.05 * loudness, samples)
            audio.append(np.clip(loudness * envelope * hum + noise, -1.0, 1.0))
            labels.append(label)
            speakers.append(f"voice{voice}")
    order = random.permutation(len(labels))  # so that the first few are of all classes and voices
    chosen = np.array(audio, np.float32)[order], np.array(labels, np.int64)[order]
    return *chosen, [speakers[place] for place in order]
