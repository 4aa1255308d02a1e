"""What every architecture asks of its arguments, and the seeded initialiser all of them use."""

from __future__ import annotations

import hashlib
import numbers
from collections.abc import Sequence
from typing import Any

import keras


def check_input_shape(input_shape: Sequence[int]) -> tuple[int, int, int]:
    """Return `input_shape` as a (height, width, channels) tuple of positive ints."""
    shape = tuple(input_shape) if isinstance(input_shape, Sequence) else ()
    if len(shape) != 3 or not all(_is_int(side) and side >= 1 for side in shape):
        raise ValueError(
            "`input_shape` must be (height, width, channels), three positive integers without the "
            f"batch axis, such as (32, 32, 3). Received: input_shape={input_shape!r}."
        )
    height, width, channels = (int(side) for side in shape)
    return height, width, channels


def check_at_least(minimum: int, **arguments: Any) -> None:
    """Raise unless every keyword argument is an integer no smaller than `minimum`."""
    for name, value in arguments.items():
        if not _is_int(value) or value < minimum:
            raise ValueError(
                f"`{name}` must be an integer of at least {minimum}. Received: {name}={value!r}."
            )


def check_seed(seed: int | None) -> None:
    """Raise unless `seed` is None or an integer."""
    if seed is not None and not _is_int(seed):
        raise TypeError(f"`seed` must be an integer or None. Received: seed={seed!r}.")


def kernel_regularizer(weight_decay: float) -> keras.regularizers.Regularizer | None:
    """Return the L2 penalty whose gradient is `weight_decay * kernel`, or None for zero.

    Papers mean that gradient when they give a weight decay; Keras's `L2(l2)` penalises
    `l2 * sum(w^2)`, whose gradient is `2 * l2 * w`, hence the half.
    """
    if not isinstance(weight_decay, numbers.Real) or not 0.0 <= weight_decay < 1.0:
        raise ValueError(
            "`weight_decay` must be a number in [0, 1), typically 0 or 1e-4. "
            f"Received: weight_decay={weight_decay!r}."
        )
    return keras.regularizers.L2(float(weight_decay) / 2.0) if weight_decay else None


def he_normal(seed: int | None, layer_name: str) -> keras.initializers.HeNormal:
    """Return He's initialiser with a seed of this layer's own.

    Keras initialisers that share a seed draw the same numbers, so two layers of one shape would
    start as copies of each other. The layer's name keeps the draws apart, and keeps them the same
    whatever other layers the model has.
    """
    if seed is None:
        return keras.initializers.HeNormal()
    digest = hashlib.blake2s(f"{seed}/{layer_name}".encode(), digest_size=4).digest()
    return keras.initializers.HeNormal(seed=int.from_bytes(digest, "big") & 0x7FFFFFFF)


def _is_int(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
