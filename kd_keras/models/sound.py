"""Networks that hear: a waveform in, a log-mel spectrogram inside, logits out."""

from __future__ import annotations

import re
from typing import Any

import keras

from kd_keras.arguments import check_integer
from kd_keras.models.layers import Kernels
from kd_keras.models.resnet import blocks_per_stage, residual_stages

# Bands of the spectrogram, and the time that one frame sees and that lies between two.
_BANDS = 40
_FRAME_SECONDS = 0.04
_HOP_SECONDS = 0.02
_LOWEST_HERTZ = 60.0
# Power below which nothing is heard, so that digital silence is no minus infinity.
_FLOOR = 1e-6
# By which a level is divided before the network sees it.
_DECIBELS = 10.0
# Far below the floor. Keras takes the loudest of the whole batch as the reference of `top_db`, and
# an answer must not depend on the other recordings of a batch.
_TOP_DB = 1000.0
# The taps of the blocks, and the block with stride two.
_BLOCKS = ("stage1_block1", "stage1_out", "stage2_out", "stage3_out")
_STRIDED = 2


def dscnn(
    samples: int = 8000,
    num_classes: int = 10,
    *,
    sample_rate: int = 8000,
    width: int = 64,
    weight_decay: float = 0.0,
    seed: int | None = None,
    name: str = "dscnn",
) -> keras.Model:
    """Build the depthwise-separable network for spoken commands on microcontrollers.

    A 10x4 convolution with stride two, four blocks of a 3x3 depthwise and a 1x1 convolution, all
    with `width` channels, on the log-mel spectrogram of the waveform. At 64 channels and ten
    classes it has 24,202 parameters.

    The spectrogram is part of the model, so that the exported file takes samples: 40 mel bands,
    frames of 40 ms every 20 ms, each band less its mean over the recording, which takes the level
    and the microphone out. It is made of layers of Keras, has no parameters and calculates in
    float32 under every dtype policy. Taps, by layer name: `stem`; `stage1_block1`, `stage1_out`,
    `stage2_out`, `stage3_out` for the four blocks; `features` (pooled); `logits`.

    Args:
        samples: Length of a recording, 1024 to 2^20.
        num_classes: Number of classes.
        sample_rate: Samples in a second, 4000 to 192000.
        width: Channels of every block, 1 to 1024.
        weight_decay: Decay of kernels in [0, 1), as a loss term whose gradient is
            `weight_decay * kernel`. Depthwise kernels, nine weights each, are left alone.
        seed: Makes the initial weights repeatable. None draws new ones.
        name: Name of the model.

    Returns:
        A functional `keras.Model` from `audio`, (batch, samples) in -1..1, to logits of shape
        (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
        TypeError: If `seed` is not an integer.

    Example:

    ```python
    import numpy as np
    import kd_keras

    student = kd_keras.models.dscnn(8000, 10, width=32, seed=1)
    logits = student.predict(np.zeros((2, 8000), "float32"))  # shape (2, 10)
    ```

    Reference:
        Zhang, Suda, Lai and Chandra, "Hello Edge: Keyword Spotting on Microcontrollers", 2017,
        arXiv:1711.07128.
    """
    num_classes = check_integer("num_classes", num_classes, 2, 2**20)
    width = check_integer("width", width, 1, 1024)
    kernels = Kernels.checked(weight_decay, seed)

    audio, x = _log_mel_input(samples, sample_rate)
    x = kernels.conv_bn(x, width, (10, 4), "stem_conv", 2)
    x = keras.layers.ReLU(name="stem")(x)
    for block, tap in enumerate(_BLOCKS, start=1):
        depthwise = f"block{block}_depthwise"
        x = kernels.depthwise_bn(x, depthwise, 2 if block == _STRIDED else 1)
        x = keras.layers.ReLU(name=f"{depthwise}_relu")(x)
        x = kernels.conv_bn(x, width, 1, f"block{block}_pointwise")
        x = keras.layers.ReLU(name=tap)(x)
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    return keras.Model(audio, kernels.logits(x, num_classes), name=name)


def audio_resnet(
    samples: int = 8000,
    num_classes: int = 10,
    *,
    sample_rate: int = 8000,
    depth: int = 20,
    width: int = 16,
    weight_decay: float = 0.0,
    seed: int | None = None,
    name: str | None = None,
) -> keras.Model:
    """Build the ResNet of `kd_keras.models.resnet` on a log-mel spectrogram.

    Its stem has stride two; the spectrogram is that of `dscnn`. Taps, by layer name: those of
    `resnet`, `stem`, `stage1_block1`, ..., `stage3_out`, `features`, `logits`.

    Args:
        samples: Length of a recording, 1024 to 2^20.
        num_classes: Number of classes.
        sample_rate: Samples in a second, 4000 to 192000.
        depth: Layers with weights on the longest path, `6n + 2`: 8, 14, 20, ... 1202.
        width: Channels of the first stage, 1 to 1024.
        weight_decay: Decay of convolution and dense kernels, in [0, 1), as a loss term whose
            gradient is `weight_decay * kernel`.
        seed: Makes the initial weights repeatable. None draws new ones.
        name: Name of the model; `audio_resnet<depth>` by default.

    Returns:
        A functional `keras.Model` from `audio`, (batch, samples) in -1..1, to logits of shape
        (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
        TypeError: If `seed` is not an integer.

    Example:

    ```python
    import kd_keras

    teacher = kd_keras.models.audio_resnet(8000, 10, depth=20, seed=1)
    teacher.get_layer("stage3_out").output.shape  # (None, 8, 5, 64)
    ```

    Reference:
        He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016,
        arXiv:1512.03385; on spectrograms: Tang and Lin, "Deep Residual Learning for
        Small-Footprint Keyword Spotting", ICASSP 2018, arXiv:1710.10361.
    """
    num_classes = check_integer("num_classes", num_classes, 2, 2**20)
    width = check_integer("width", width, 1, 1024)
    blocks = blocks_per_stage(depth)
    kernels = Kernels.checked(weight_decay, seed)

    audio, x = _log_mel_input(samples, sample_rate)
    x = kernels.conv_bn(x, width, 3, "stem_conv", 2)
    x = keras.layers.ReLU(name="stem")(x)
    x = residual_stages(x, blocks, width, kernels)
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    name = name or f"audio_resnet{depth}"
    return keras.Model(audio, kernels.logits(x, num_classes), name=name)


def _log_mel_input(samples: int, sample_rate: int) -> tuple[Any, Any]:
    """Return the `audio` input and its log-mel spectrogram, (batch, frames, bands, 1)."""
    samples = check_integer("samples", samples, 1024, 2**20)
    sample_rate = check_integer("sample_rate", sample_rate, 4000, 192_000)
    audio = keras.Input(shape=(samples,), dtype="float32", name="audio")
    hop = round(_HOP_SECONDS * sample_rate)
    frame = round(_FRAME_SECONDS * sample_rate)
    x = keras.layers.MelSpectrogram(
        fft_length=2 ** (frame - 1).bit_length(),
        sequence_length=frame,
        sequence_stride=hop,
        sampling_rate=sample_rate,
        num_mel_bins=_BANDS,
        min_freq=_LOWEST_HERTZ,
        max_freq=sample_rate / 2,
        min_power=_FLOOR,
        top_db=_TOP_DB,
        dtype="float32",
        name="log_mel",
    )(audio)
    x = keras.layers.Permute((2, 1), dtype="float32", name="frames")(x)
    mean = keras.layers.GlobalAveragePooling1D(keepdims=True, dtype="float32", name="mean")(x)
    x = keras.layers.Subtract(dtype="float32", name="without_mean")([x, mean])
    x = keras.layers.Rescaling(1.0 / _DECIBELS, dtype="float32", name="rescaling")(x)
    frames = x.shape[1]
    return audio, keras.layers.Reshape((frames, _BANDS, 1), name="log_mel_map")(x)


_DSCNN = re.compile(r"dscnn(?:x(?P<width>[0-9]{1,9}))?")
_RESNET = re.compile(r"audio_resnet(?P<depth>[0-9]{1,9})(?:x(?P<width>[0-9]{1,9}))?")


def sound_from_name(
    name: str,
    *,
    samples: int,
    num_classes: int,
    sample_rate: int,
    weight_decay: float = 0.0,
    seed: int | None = None,
) -> keras.Model:
    """Build the network for recordings that a short name describes.

    | form | example | is |
    |---|---|---|
    | `dscnn` | `dscnn` | `dscnn()` |
    | `dscnnx<width>` | `dscnnx32` | `dscnn(width=32)` |
    | `audio_resnet<depth>` | `audio_resnet20` | `audio_resnet(depth=20)` |
    | `audio_resnet<depth>x<width>` | `audio_resnet8x32` | `audio_resnet(depth=8, width=32)` |

    Args:
        name: One of the forms above.
        samples: Length of a recording.
        num_classes: Number of classes.
        sample_rate: Samples in a second.
        weight_decay: As in the architecture's own function.
        seed: As in the architecture's own function.

    Returns:
        The model, named after `name`.

    Raises:
        ValueError: If `name` has none of the forms, or an argument is out of its range.

    Example:

    >>> from kd_keras.models import sound_from_name
    >>> sound_from_name("dscnnx8", samples=4000, num_classes=4, sample_rate=8000).output.shape
    (None, 4)
    """
    shape: dict[str, Any] = {
        "samples": samples,
        "num_classes": num_classes,
        "sample_rate": sample_rate,
        "weight_decay": weight_decay,
        "seed": seed,
        "name": name,
    }
    if match := _DSCNN.fullmatch(name):
        return dscnn(**shape, width=int(match["width"] or 64))
    if match := _RESNET.fullmatch(name):
        return audio_resnet(**shape, depth=int(match["depth"]), width=int(match["width"] or 16))
    raise ValueError(
        "For recordings a network by name must be one of the forms dscnn, dscnnx<width>, "
        "audio_resnet<depth>, audio_resnet<depth>x<width>, such as 'dscnnx32' or "
        f"'audio_resnet20'. Received: name={name!r}."
    )
