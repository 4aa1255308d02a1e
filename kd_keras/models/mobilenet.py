"""The inverted-residual network for small images and phones."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras

from kd_keras.arguments import check_integer, check_number, check_seed
from kd_keras.models.arguments import (
    check_input_shape,
    he_normal,
    kernel_regularizer,
)
from kd_keras.models.layers import image_input, logits_output
from kd_keras.models.rematerialized import rematerialized

# (channels, blocks) of each stage at width 1. Stage one keeps the resolution, the others halve it:
# the five halvings of the ImageNet network would leave one pixel of a 32x32 image.
_STAGES = ((24, 2), (40, 3), (80, 3))
_STEM_CHANNELS = 16
_HEAD_CHANNELS = 320


def mobilenet(
    input_shape: Sequence[int] = (32, 32, 3),
    num_classes: int = 10,
    *,
    width: float = 1.0,
    expansion: int = 6,
    weight_decay: float = 0.0,
    seed: int | None = None,
    rematerialize: bool = False,
    name: str = "mobilenet",
) -> keras.Model:
    """Build a small MobileNetV2-style network.

    A 3x3 convolution, three stages of inverted residual blocks (expand by 1x1, filter depthwise by
    3x3, project linearly by 1x1; ReLU6 between them) and a 1x1 head. Stages have 2, 3 and 3
    blocks with 24, 40 and 80 channels times `width`; stages two and three halve the resolution.

    The model takes raw pixels and returns logits. Taps, by layer name: `stem`;
    `stage1_block1`, ... for the blocks inside a stage; `stage1_out`, `stage2_out`, `stage3_out`
    for the (linear) last block of each stage; `features` (pooled); `logits`.

    Args:
        input_shape: (height, width, channels) of the images, without the batch axis.
        num_classes: Number of classes, the width of the logits.
        width: Multiplies every channel count, which is then rounded to a multiple of eight, at
            least eight. In (0, 8].
        expansion: Channels inside a block over channels at its input, 1 to 64.
        weight_decay: Decay of kernels in [0, 1), as a loss term whose gradient is
            `weight_decay * kernel`. Depthwise kernels, nine weights each, are left alone.
        seed: Makes the initial weights repeatable. None draws new ones.
        rematerialize: As in `resnet`.
        name: Name of the model.

    Returns:
        A functional `keras.Model` from `image`, (batch, height, width, channels) in 0..255, float
        or uint8, to logits of shape (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
        TypeError: If `seed` is not an integer.

    Example:

    ```python
    import kd_keras

    student = kd_keras.models.mobilenet((32, 32, 3), 10, width=0.5, seed=1)
    student.get_layer("stage3_out").output.shape  # (None, 8, 8, 40)
    ```

    Reference:
        Sandler, Howard, Zhu, Zhmoginov and Chen, "MobileNetV2: Inverted Residuals and Linear
        Bottlenecks", CVPR 2018, arXiv:1801.04381.
    """
    shape = check_input_shape(input_shape)
    num_classes = check_integer("num_classes", num_classes, 2, 2**20)
    expansion = check_integer("expansion", expansion, 1, 64)
    seed = None if seed is None else check_seed(seed)
    width = check_number("width", width, above=0, high=8)
    regularizer = kernel_regularizer(weight_decay)

    image, x = image_input(shape)
    x = _conv_bn(x, _scaled(_STEM_CHANNELS, width), 3, seed, regularizer, "stem_conv")
    x = keras.layers.ReLU(max_value=6.0, name="stem")(x)
    for stage, (channels, blocks) in enumerate(_STAGES, start=1):
        for block in range(1, blocks + 1):
            tap = f"stage{stage}_out" if block == blocks else f"stage{stage}_block{block}"
            build = functools.partial(
                _inverted_residual,
                channels=_scaled(channels, width),
                strides=2 if stage > 1 and block == 1 else 1,
                expansion=expansion,
                seed=seed,
                regularizer=regularizer,
                inner=f"stage{stage}_block{block}",
                tap=tap,
            )
            x = rematerialized(build, x, tap) if rematerialize else build(x)
    x = _conv_bn(x, _scaled(_HEAD_CHANNELS, width), 1, seed, regularizer, "head_conv")
    x = keras.layers.ReLU(max_value=6.0, name="head")(x)
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    return keras.Model(image, logits_output(x, num_classes, seed, regularizer), name=name)


def _scaled(channels: int, width: float) -> int:
    """Return `channels * width` as a multiple of eight, the lane count of phone kernels."""
    return max(8, int(channels * width + 4) // 8 * 8)


def _inverted_residual(
    x: Any,
    *,
    channels: int,
    strides: int,
    expansion: int,
    seed: int | None,
    regularizer: keras.regularizers.Regularizer | None,
    inner: str,
    tap: str,
) -> Any:
    block_input = x
    is_residual = strides == 1 and x.shape[-1] == channels
    expanded = expansion * x.shape[-1]
    x = _conv_bn(x, expanded, 1, seed, regularizer, f"{inner}_expand")
    x = keras.layers.ReLU(max_value=6.0, name=f"{inner}_expand_relu")(x)
    x = keras.layers.DepthwiseConv2D(
        3,
        strides=strides,
        padding="same",
        use_bias=False,
        depthwise_initializer=he_normal(seed, f"{inner}_depthwise"),
        name=f"{inner}_depthwise",
    )(x)
    x = _batch_norm(x, f"{inner}_depthwise_bn")
    x = keras.layers.ReLU(max_value=6.0, name=f"{inner}_depthwise_relu")(x)
    x = _conv(x, channels, 1, seed, regularizer, f"{inner}_project")
    if not is_residual:
        return _batch_norm(x, tap)
    x = _batch_norm(x, f"{inner}_project_bn")
    return keras.layers.Add(name=tap)([block_input, x])


def _conv_bn(
    x: Any,
    channels: int,
    kernel_size: int,
    seed: int | None,
    regularizer: keras.regularizers.Regularizer | None,
    name: str,
) -> Any:
    return _batch_norm(_conv(x, channels, kernel_size, seed, regularizer, name), f"{name}_bn")


def _conv(
    x: Any,
    channels: int,
    kernel_size: int,
    seed: int | None,
    regularizer: keras.regularizers.Regularizer | None,
    name: str,
) -> Any:
    return keras.layers.Conv2D(
        channels,
        kernel_size,
        padding="same",
        use_bias=False,
        kernel_initializer=he_normal(seed, name),
        kernel_regularizer=regularizer,
        name=name,
    )(x)


def _batch_norm(x: Any, name: str) -> Any:
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)
