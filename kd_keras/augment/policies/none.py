"""The policy that changes nothing."""

from __future__ import annotations

from kd_keras.augment.policy import Policy


def none(seed: int = 0, value_range: tuple[float, float] = (0, 255)) -> Policy:
    """Return the identity, the control of every comparison of policies."""
    return Policy([], seed=seed, value_range=value_range, name="none")
