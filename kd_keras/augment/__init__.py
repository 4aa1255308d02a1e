"""What teacher and student both see: seeded policies of keras-cv layers, noise and mixing.

keras-cv is imported when the first of these names is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kd_keras.augment.layers import (
        CutMix,
        GaussianNoise,
        Generated,
        MixUp,
        RandomResizedCrop,
        RandomSubset,
        SaltAndPepper,
    )
    from kd_keras.augment.policies import (
        colour,
        cutmix,
        digits,
        geometric,
        mixup,
        named,
        noise,
        none,
        policy_names,
        standard,
        strong,
    )
    from kd_keras.augment.policy import Policy

__all__ = [
    "CutMix",
    "GaussianNoise",
    "Generated",
    "MixUp",
    "Policy",
    "RandomResizedCrop",
    "RandomSubset",
    "SaltAndPepper",
    "colour",
    "cutmix",
    "digits",
    "geometric",
    "mixup",
    "named",
    "noise",
    "none",
    "policy_names",
    "standard",
    "strong",
]

_POLICIES = "kd_keras.augment.policies"
_LAYERS = "kd_keras.augment.layers"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'kd_keras.augment' has no attribute {name!r}")
    if name == "Policy":
        home = "kd_keras.augment.policy"
    else:
        home = _POLICIES if name.islower() else _LAYERS
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
