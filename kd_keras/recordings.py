"""How a .wav file becomes samples, alike in training and in `predict`; imports no TensorFlow.

| the file                            | what a network hears                               |
|-------------------------------------|----------------------------------------------------|
| 16-bit PCM, one channel             | its samples / 32768, so -1 to below 1              |
| shorter than the network's input    | silence behind                                     |
| longer                              | its beginning; what is cut off is not heard        |
| another sample rate, several        | refused, with the line that converts it: what to   |
| channels, other formats             | leave out is the user's choice                     |
"""

from __future__ import annotations

import os
import wave
from typing import NamedTuple

import numpy as np

from kd_keras.regular_file import open_regular

FULL_SCALE = 32768.0
_BYTES_OF_A_SAMPLE = 2


class Recording(NamedTuple):
    """A recording as it is stored.

    Attributes:
        samples: (samples,) int16.
        sample_rate: Samples in a second.
    """

    samples: np.ndarray
    sample_rate: int


def read_recording(path: str | os.PathLike[str]) -> Recording:
    """Return what is in a .wav file of 16-bit PCM and one channel.

    Raises:
        ValueError: If the file is missing, damaged, empty, of another format or of several
            channels.

    Example:

    >>> import wave
    >>> from kd_keras.recordings import read_recording
    >>> with wave.open("a.wav", "wb") as file:
    ...     file.setparams((1, 2, 8000, 0, "NONE", ""))
    ...     file.writeframes(b"\\x00\\x40" * 4)
    >>> recording = read_recording("a.wav")
    >>> recording.samples.tolist(), recording.sample_rate
    ([16384, 16384, 16384, 16384], 8000)
    """
    name = repr(os.fspath(path))
    try:
        with open_regular(path) as file, wave.open(file) as sound:
            channels, width, rate = sound.getparams()[:3]
            content = sound.readframes(sound.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        reason = getattr(error, "strerror", None) or str(error) or "it ends too soon"
        raise ValueError(
            f"A recording cannot be read: {reason}. Received: {name}. Pass a .wav file of 16-bit "
            f"PCM; others become one by {conversion(path)}"
        ) from error
    if channels != 1 or width != _BYTES_OF_A_SAMPLE:
        raise ValueError(
            f"A recording must have one channel and 16 bits a sample. Received: {name} with "
            f"{channels} channels and {8 * width} bits. Convert it: {conversion(path)}"
        )
    samples = np.frombuffer(content[: len(content) // width * width], "<i2")
    if not samples.size:
        raise ValueError(f"A recording must have samples. Received: {name}, which holds none.")
    return Recording(samples.astype(np.int16), rate)


def conversion(path: str | os.PathLike[str], sample_rate: int | None = None) -> str:
    """Return the line that makes any recording one that can be read."""
    stem = os.path.splitext(os.path.basename(os.fspath(path)))[0]
    rate = "" if sample_rate is None else f" -ar {sample_rate}"
    return f"ffmpeg -i IN -ac 1{rate} -c:a pcm_s16le {stem}.wav"


def as_heard(
    recording: Recording, samples: int, sample_rate: int, path: str | os.PathLike[str]
) -> np.ndarray:
    """Return a recording as a network takes it: float32 in -1..1, (samples,).

    Args:
        recording: What was read.
        samples: How many samples the network takes.
        sample_rate: Their rate, of the data that the network learnt from.
        path: Where it was read, for the error.

    Raises:
        ValueError: If the recording has another sample rate.
    """
    if recording.sample_rate != sample_rate:
        raise ValueError(
            f"A recording must have the sample rate of those that the network learnt from, "
            f"{sample_rate} Hz: at another one voices are of another pitch. Received: "
            f"{os.fspath(path)!r} with {recording.sample_rate} Hz. Convert it: "
            f"{conversion(path, sample_rate)}"
        )
    heard = np.zeros(samples, np.float32)
    beginning = recording.samples[:samples]
    heard[: len(beginning)] = beginning / np.float32(FULL_SCALE)
    return heard
