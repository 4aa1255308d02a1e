"""What every architecture shares: checks, raw pixels in, seeded kernels, stages, logits out."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kd_keras.arguments import check_number, check_seed, is_integer
from kd_keras.models.rematerialized import rematerialized


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


def image_input(input_shape: tuple[int, int, int]) -> tuple[Any, Any]:
    """Return the `image` input and the same image scaled from 0..255 to -1..1.

    The scaling is part of the model, so the exported file takes raw pixels. It runs in float32
    under every dtype policy: bfloat16 keeps eight bits of a pixel, which augmented pixels exceed.
    """
    image = keras.Input(shape=input_shape, dtype="float32", name="image")
    scaled = keras.layers.Rescaling(
        scale=1.0 / 127.5, offset=-1.0, dtype="float32", name="rescaling"
    )(image)
    return image, scaled


def batch_norm(x: Any, name: str) -> Any:
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)


@dataclass(frozen=True)
class Kernels:
    """Layers whose kernels start from one seed and decay alike.

    Attributes:
        seed: Of the initial weights; None draws new ones.
        regularizer: Of the kernels; depthwise ones, nine weights each, are left alone.
    """

    seed: int | None
    regularizer: keras.regularizers.Regularizer | None

    @classmethod
    def checked(cls, weight_decay: float, seed: int | None) -> Kernels:
        """Return them for two arguments of an architecture.

        Papers mean by a weight decay that the gradient is `weight_decay * kernel`; Keras's `L2(l2)`
        penalises `l2 * sum(w^2)`, whose gradient is `2 * l2 * w`, hence the half.
        """
        remedy = "Common values are 0 and 0.0001."
        decay = check_number("weight_decay", weight_decay, low=0, below=1, remedy=remedy)
        regularizer = keras.regularizers.L2(float(decay) / 2.0) if decay else None
        return cls(None if seed is None else check_seed(seed), regularizer)

    def of(self, layer: type[keras.Layer], *shape: Any, name: str, **kwargs: Any) -> Any:
        """Return a layer of one kernel, which is called `name`."""
        return layer(
            *shape,
            kernel_initializer=he_normal(self.seed, name),
            kernel_regularizer=self.regularizer,
            name=name,
            **kwargs,
        )

    def conv(self, x: Any, channels: int, size: Any, name: str, strides: int = 1) -> Any:
        """Return a padded convolution without bias."""
        return self.of(
            keras.layers.Conv2D,
            channels,
            size,
            strides=strides,
            padding="same",
            use_bias=False,
            name=name,
        )(x)

    def conv_bn(self, x: Any, channels: int, size: Any, name: str, strides: int = 1) -> Any:
        return batch_norm(self.conv(x, channels, size, name, strides), f"{name}_bn")

    def depthwise_bn(self, x: Any, name: str, strides: int) -> Any:
        """Return a normalised 3x3 depthwise convolution."""
        x = keras.layers.DepthwiseConv2D(
            3,
            strides=strides,
            padding="same",
            use_bias=False,
            depthwise_initializer=he_normal(self.seed, name),
            name=name,
        )(x)
        return batch_norm(x, f"{name}_bn")

    def logits(self, features: Any, num_classes: int) -> Any:
        """Return the linear `logits` layer on `features`, in float32 under every dtype policy."""
        return self.of(keras.layers.Dense, num_classes, dtype="float32", name="logits")(features)


def in_stages(
    x: Any, stages: Sequence[tuple[int, int]], block: Callable[..., Any], rematerialize: bool
) -> Any:
    """Return what stages of blocks make of maps; all but the first halve height and width.

    Args:
        x: The maps, (batch, height, width, channels).
        stages: (channels, blocks) of each.
        block: Takes maps and the keywords `channels`, `strides`, `inner`, which begins the names of
            the layers inside, and `tap`, the name of the last.
        rematerialize: As in `resnet`.
    """
    for stage, (channels, blocks) in enumerate(stages, start=1):
        for number in range(1, blocks + 1):
            inner = f"stage{stage}_block{number}"
            tap = f"stage{stage}_out" if number == blocks else inner
            build = functools.partial(
                block,
                channels=channels,
                strides=2 if stage > 1 and number == 1 else 1,
                inner=inner,
                tap=tap,
            )
            x = rematerialized(build, x, tap) if rematerialize else build(x)
    return x
