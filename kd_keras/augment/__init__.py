"""What teacher and student both see: seeded policies of keras-cv layers, our own layers and mixing.

keras-cv is imported when the first of these names is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kd_keras.augment.feedback import Feedback
    from kd_keras.augment.layers import (
        AugMix,
        BandMask,
        CutMix,
        Equalize,
        FMix,
        Gain,
        GaussianBlur,
        GaussianNoise,
        Generated,
        GridMask,
        JpegCompression,
        MixUp,
        Posterize,
        RandomFlip,
        RandomResizedCrop,
        RandomShift,
        RandomSubset,
        SaltAndPepper,
        Sharpness,
        SpeckleNoise,
        Speed,
        TimeMask,
        TimeShift,
        WhiteNoise,
    )
    from kd_keras.augment.pick import Pick
    from kd_keras.augment.policies import (
        augmix,
        blur,
        colour,
        cutmix,
        cutout,
        digits,
        fmix,
        geometric,
        gridmask,
        mixup,
        named,
        noise,
        none,
        policy_names,
        standard,
        strong,
    )
    from kd_keras.augment.policy import Policy
    from kd_keras.augment.recordings import WaveformPolicy, speech, speech_mixup, speech_strong

__all__ = [
    "AugMix",
    "BandMask",
    "CutMix",
    "Equalize",
    "FMix",
    "Feedback",
    "Gain",
    "GaussianBlur",
    "GaussianNoise",
    "Generated",
    "GridMask",
    "JpegCompression",
    "MixUp",
    "Pick",
    "Policy",
    "Posterize",
    "RandomFlip",
    "RandomResizedCrop",
    "RandomShift",
    "RandomSubset",
    "SaltAndPepper",
    "Sharpness",
    "SpeckleNoise",
    "Speed",
    "TimeMask",
    "TimeShift",
    "WaveformPolicy",
    "WhiteNoise",
    "augmix",
    "blur",
    "colour",
    "cutmix",
    "cutout",
    "digits",
    "fmix",
    "geometric",
    "gridmask",
    "mixup",
    "named",
    "noise",
    "none",
    "policy_names",
    "speech",
    "speech_mixup",
    "speech_strong",
    "standard",
    "strong",
]

_POLICIES = "kd_keras.augment.policies"
_LAYERS = "kd_keras.augment.layers"
_RECORDINGS = "kd_keras.augment.recordings"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'kd_keras.augment' has no attribute {name!r}")
    if name in ("Feedback", "Pick", "Policy"):
        home = f"kd_keras.augment.{name.lower()}"
    elif name.startswith("speech") or name == "WaveformPolicy":
        home = _RECORDINGS
    else:
        home = _POLICIES if name.islower() else _LAYERS
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
