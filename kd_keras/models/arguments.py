"""What every architecture asks of its arguments, and the seeded initialiser all of them use."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import keras

from kd_keras.arguments import is_integer


def check_input_shape(input_shape: Sequence[int]) -> tuple[int, int, int]:
    """Return `input_shape` as a (height, width, channels) tuple of positive ints."""
    shape = tuple(input_shape) if isinstance(input_shape, Sequence) else ()
    if len(shape) != 3 or not all(is_integer(side) and 1 <= side <= 2**16 for side in shape):
        raise ValueError(
            "`input_shape` must be (height, width, channels), three integers from 1 to 65536 "
            "without the batch axis, such as (32, 32, 3). "
            f"Received: input_shape={input_shape!r}."
        )
    height, width, channels = (int(side) for side in shape)
    return height, width, channels


def he_normal(seed: int | None, layer_name: str) -> keras.initializers.HeNormal:
    """Return He's initialiser with a seed of this layer's own."""
    return keras.initializers.HeNormal(seed=layer_seed(seed, layer_name))


def layer_seed(seed: int | None, layer_name: str) -> int | None:
    """Return a seed of a layer's own, None where there is no seed.

    Keras initialisers that share a seed draw the same numbers, so two layers of one shape would
    start as copies of each other. The layer's name keeps the draws apart, and keeps them the same
    whatever other layers the model has.
    """
    if seed is None:
        return None
    digest = hashlib.blake2s(f"{seed}/{layer_name}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") & 0x7FFFFFFF
