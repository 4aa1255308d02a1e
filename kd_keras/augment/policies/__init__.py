"""The named policies: one builder function each, and a way to find them by name."""

from __future__ import annotations

import difflib

from kd_keras.augment.policies.augmix import augmix
from kd_keras.augment.policies.blur import blur
from kd_keras.augment.policies.colour import colour
from kd_keras.augment.policies.digits import digits
from kd_keras.augment.policies.geometric import geometric
from kd_keras.augment.policies.hidden import cutout, gridmask
from kd_keras.augment.policies.mixed import cutmix, fmix, mixup
from kd_keras.augment.policies.noise import noise
from kd_keras.augment.policies.none import none
from kd_keras.augment.policies.standard import standard
from kd_keras.augment.policies.strong import strong
from kd_keras.augment.policy import Policy

__all__ = [
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
    "standard",
    "strong",
]

_BUILDERS = {
    builder.__name__: builder
    for builder in (
        none,
        digits,
        standard,
        geometric,
        colour,
        noise,
        blur,
        cutout,
        gridmask,
        strong,
        augmix,
        mixup,
        cutmix,
        fmix,
    )
}


def policy_names() -> tuple[str, ...]:
    """Return the names that `named` knows."""
    return tuple(_BUILDERS)


def named(name: str, seed: int = 0, value_range: tuple[float, float] = (0, 255)) -> Policy:
    """Return a policy by its name.

    Args:
        name: One of `policy_names()`.
        seed: Any integer.
        value_range: `(low, high)` of the images.

    Raises:
        ValueError: If there is no policy of that name.

    Example:

    >>> from kd_keras.augment import named
    >>> named("standard", seed=3).name
    'standard'
    """
    if name not in _BUILDERS:
        close = difflib.get_close_matches(str(name).lower(), _BUILDERS, n=1)
        suggestion = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"`name` must be one of {', '.join(map(repr, _BUILDERS))}. Received: name={name!r}."
            + suggestion
        )
    return _BUILDERS[name](seed=seed, value_range=value_range)
