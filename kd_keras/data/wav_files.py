"""Recordings of the user's own: a folder of .wav files, a folder for each class."""

from __future__ import annotations

import dataclasses
import hashlib
import random
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from kd_keras.class_names import check_class_names
from kd_keras.data.source import AudioSource, Cut
from kd_keras.data.splits import VALIDATION_NAMES, Part, cut, missing_splits, split_folders
from kd_keras.image_files import holds_instead, is_hidden
from kd_keras.recordings import conversion, read_recording

# As Speech Commands names its files: who speaks, and the how-many-eth time.
_SPEAKER = re.compile(r"(?P<speaker>.+)_nohash_[0-9]+")


class WavFile(NamedTuple):
    """What is known of one recording without its samples."""

    path: Path
    label: int
    speaker: str | None


@dataclasses.dataclass(frozen=True)
class WavSource(AudioSource):
    """The recordings of a folder, padded with silence or cut at the end to one second.

    Attributes:
        digest: Of all recordings.
        classes: Name of each class, by label.
        files: The recordings of each split, in the order in which they are read.
    """

    digest: str
    classes: tuple[str, ...]
    files: Mapping[str, Sequence[WavFile]]

    @property
    def version(self) -> str:
        return self.digest

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.classes

    @property
    def available(self) -> dict[str, int]:
        return {split: len(files) for split, files in self.files.items()}

    @property
    def samples(self) -> int:
        return self.sample_rate  # one second

    def encoded(self, part: Part) -> tf.data.Dataset:
        files = self.files[part.split][part.start : part.stop]
        paths = [str(file.path) for file in files]
        labels = tf.constant([file.label for file in files], tf.int64)
        return tf.data.Dataset.from_tensor_slices((paths, labels))

    def decode(self, encoded: Any, label: Any) -> tuple[tf.Tensor, tf.Tensor]:
        audio, _ = tf.audio.decode_wav(tf.io.read_file(encoded), 1, self.sample_rate)
        return tf.ensure_shape(audio[:, 0], self.input_shape), tf.cast(label, tf.int64)

    def cut(self, fraction: float) -> Cut:
        missing = missing_splits(self.files)
        speakers = {file.speaker for file in self.files["train"]}
        if missing == 0 or None in speakers:
            ends = ", whoever speaks" if missing else ""
            return Cut(self, *cut(self.name, self.available, fraction), ends)
        source = self._without(sorted(map(str, speakers)), missing, fraction)
        return Cut(source, *cut(self.name, source.available, fraction), ", by speaker")

    def _without(self, speakers: list[str], missing: int, fraction: float) -> WavSource:
        """Return the source with whole speakers held out of `train` for the missing splits."""
        random.Random("speakers").shuffle(speakers)
        share = max(1, round(len(speakers) * fraction))
        if len(speakers) <= missing * share:
            raise ValueError(
                f"Recordings must be of more than {missing * share} speakers, so that others "
                "are for training than for validation and test. Received: "
                f"{len(speakers)} in {self.name!r}, with validation_fraction={fraction:g}. Add "
                "speakers, or lay out splits of your own: train/<class>/, validation/<class>/ and "
                "test/<class>/."
            )
        files = dict(self.files)
        if missing == 1 and "test" not in files:
            # With no test split, the published validation split is the test split.
            files["test"] = files.pop(next(name for name in VALIDATION_NAMES if name in files))
        for place, split in enumerate(("validation", "test")[:missing]):
            held = set(speakers[place * share : (place + 1) * share])
            files[split] = [file for file in files["train"] if file.speaker in held]
            files["train"] = [file for file in files["train"] if file.speaker not in held]
        return dataclasses.replace(self, files=files)


def is_of_recordings(path: Path) -> bool:
    """Whether a path is a folder with .wav files and without images of classes."""
    return holds_instead(path, ".wav")


def open_recordings(folder: Path) -> WavSource:
    """Return the recordings of a folder, each of which is read once to see that it can be.

    Where files are called `<speaker>_nohash_<number>.wav`, as those of Speech Commands, splits
    that are missing are cut off by speaker.

    Args:
        folder: A folder with <class>/*.wav, or train/<class>/*.wav and test and validation
            likewise: 16-bit PCM of one channel, all of one sample rate.

    Raises:
        ValueError: If a file cannot be read or has another form, sample rates differ, or the
            classes have names that no label file can hold or are not all in `train`.
    """
    found = {split: _paths(place) for split, place in split_folders(folder).items()}
    classes = sorted({path.parent.name for path in found.get("train", ())})
    unseen = sorted({path.parent.name for paths in found.values() for path in paths} - set(classes))
    if len(classes) < 2 or unseen:
        raise ValueError(
            "The training recordings must be of two classes or more, and of all that there are. "
            f"Received: {str(folder)!r} with the classes {classes[:6]} in train, and only "
            f"elsewhere {unseen[:6]}. Expected: <folder>/<class>/*.wav, or "
            "<folder>/train/<class>/*.wav."
        )
    check_class_names(classes, repr(str(folder)), "Rename or merge the folders of these classes.")
    sample_rate, digest = _read_all([path for paths in found.values() for path in paths])
    files = {
        split: [WavFile(path, classes.index(path.parent.name), _speaker(path)) for path in paths]
        for split, paths in found.items()
    }
    for split, members in files.items():
        random.Random(split).shuffle(members)  # or the end of `train` would be of one class
    return WavSource(folder.name, sample_rate, digest, tuple(classes), files)


def _paths(place: Path) -> list[Path]:
    return sorted(
        path
        for path in place.glob("*/*")
        if path.suffix.lower() == ".wav" and not is_hidden(path) and not is_hidden(path.parent)
    )


def _speaker(path: Path) -> str | None:
    match = _SPEAKER.fullmatch(path.stem)
    return match["speaker"] if match else None


def _read_all(paths: Sequence[Path]) -> tuple[int, str]:
    """Return the one sample rate of all files, and a digest of what is in them."""
    digest = hashlib.sha256()
    rates: dict[int, Path] = {}
    longer = 0
    for path in paths:
        recording = read_recording(path)
        rates.setdefault(recording.sample_rate, path)
        longer += len(recording.samples) > recording.sample_rate
        digest.update(f"{path.parent.name}/{path.name}/{recording.sample_rate}".encode())
        digest.update(recording.samples.tobytes())
    if len(rates) > 1:
        (one, first), (other, second) = list(rates.items())[:2]
        raise ValueError(
            "Recordings must be of one sample rate: at another one voices are of another pitch. "
            f"Received: {str(first)!r} with {one} Hz and {str(second)!r} with {other} Hz. Convert "
            f"those of one kind: {conversion(second, one)}"
        )
    if longer:
        warnings.warn(
            f"{longer} of {len(paths)} recordings are longer than a second; of them the first "
            "second is heard. Cut them where the word is, if it comes later.",
            stacklevel=4,
        )
    return next(iter(rates)), digest.hexdigest()[:16]
