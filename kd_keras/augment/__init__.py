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
        RandomTranspose,
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
        turns,
    )
    from kd_keras.augment.policy import Policy
    from kd_keras.augment.recordings import WaveformPolicy, speech, speech_mixup, speech_strong
    from kd_keras.augment.tokens import (
        NGram,
        SpanSwap,
        TokenPolicy,
        WordDropout,
        WordMask,
        WordReplacement,
    )

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
    "NGram",
    "Pick",
    "Policy",
    "Posterize",
    "RandomFlip",
    "RandomResizedCrop",
    "RandomShift",
    "RandomSubset",
    "RandomTranspose",
    "SaltAndPepper",
    "Sharpness",
    "SpanSwap",
    "SpeckleNoise",
    "Speed",
    "TimeMask",
    "TimeShift",
    "TokenPolicy",
    "WaveformPolicy",
    "WhiteNoise",
    "WordDropout",
    "WordMask",
    "WordReplacement",
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
    "turns",
]

_POLICIES = "kd_keras.augment.policies"
_LAYERS = "kd_keras.augment.layers"
_TOKENS = "kd_keras.augment.tokens"
_OF_TOKENS = ("NGram", "SpanSwap", "TokenPolicy", "WordDropout", "WordMask", "WordReplacement")
_RECORDINGS = "kd_keras.augment.recordings"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'kd_keras.augment' has no attribute {name!r}")
    if name in ("Feedback", "Pick", "Policy"):
        home = f"kd_keras.augment.{name.lower()}"
    elif name.startswith("speech") or name == "WaveformPolicy":
        home = _RECORDINGS
    elif name in _OF_TOKENS:
        home = _TOKENS
    else:
        home = _POLICIES if name.islower() else _LAYERS
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
