"""The residual network for small images."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras

from kd_keras.arguments import check_integer
from kd_keras.models.layers import Kernels, check_input_shape, image_input, in_stages

_STAGES = 3
_DEEPEST = 1202


def resnet(
    input_shape: Sequence[int] = (32, 32, 3),
    num_classes: int = 10,
    *,
    depth: int = 20,
    width: int = 16,
    weight_decay: float = 0.0,
    seed: int | None = None,
    rematerialize: bool = False,
    name: str | None = None,
) -> keras.Model:
    """Build the CIFAR-style ResNet of a given depth and width.

    A 3x3 convolution, then three stages of `n = (depth - 2) / 6` basic blocks with `width`,
    `2 * width` and `4 * width` channels; stages two and three begin with stride two. Where a
    block changes the shape, its shortcut is a strided 1x1 convolution with batch normalisation
    (the paper's option B). The paper uses the parameter-free option A on CIFAR; B costs under 1%
    more weights and keeps every shortcut a convolution, which int8 kernels run.

    The model takes raw pixels and returns logits. Taps, by layer name: `stem`;
    `stage1_block1`, ... for the blocks inside a stage; `stage1_out`, `stage2_out`, `stage3_out`
    for the last block of each stage, so that nets of different depths share these names;
    `features` (pooled, `4 * width` wide); `logits`.

    Args:
        input_shape: (height, width, channels) of the images, without the batch axis.
        num_classes: Number of classes, the width of the logits.
        depth: Layers with weights on the longest path, `6n + 2`: 8, 14, 20, ... 1202.
        width: Channels of the first stage, 1 to 1024.
        weight_decay: Decay of convolution and dense kernels, in [0, 1), as a loss term whose
            gradient is `weight_decay * kernel`.
        seed: Makes the initial weights repeatable. None draws new ones.
        rematerialize: Whether training computes the inside of each block again in the backward
            pass instead of keeping it: less memory, more time. The weights are the same, in the
            same order; for export and quantisation load them into the plain model.
        name: Name of the model; `resnet<depth>` by default.

    Returns:
        A functional `keras.Model` from `image`, (batch, height, width, channels) in 0..255, float
        or uint8, to logits of shape (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
        TypeError: If `seed` is not an integer.

    Example:

    ```python
    import numpy as np
    import kd_keras

    teacher = kd_keras.models.resnet((32, 32, 3), 10, depth=56, seed=1)
    images = np.random.randint(0, 256, (4, 32, 32, 3), dtype="uint8")
    logits = teacher.predict(images)  # shape (4, 10)
    ```

    Reference:
        He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016,
        arXiv:1512.03385, section 4.2.
    """
    shape = check_input_shape(input_shape)
    num_classes = check_integer("num_classes", num_classes, 2, 2**20)
    width = check_integer("width", width, 1, 1024)
    blocks = blocks_per_stage(depth)
    kernels = Kernels.checked(weight_decay, seed)

    image, x = image_input(shape)
    x = kernels.conv_bn(x, width, 3, "stem_conv")
    x = keras.layers.ReLU(name="stem")(x)
    x = residual_stages(x, blocks, width, kernels, rematerialize)
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    return keras.Model(image, kernels.logits(x, num_classes), name=name or f"resnet{depth}")


def residual_stages(
    x: Any, blocks: int, width: int, kernels: Kernels, rematerialize: bool = False
) -> Any:
    """Return what three stages of basic blocks make of maps, (batch, height, width, channels).

    Stages two and three halve the height and the width and double the channels.

    Args:
        x: The maps.
        blocks: Blocks in each stage.
        width: Channels of the first stage.
        kernels: Of the convolutions.
        rematerialize: As in `resnet`.
    """
    stages = [(width * 2**stage, blocks) for stage in range(_STAGES)]
    return in_stages(x, stages, functools.partial(_basic_block, kernels), rematerialize)


def blocks_per_stage(depth: int) -> int:
    remedy = "The deepest network of its paper has 1202 layers."
    depth = check_integer("depth", depth, 8, _DEEPEST, remedy)
    blocks, remainder = divmod(depth - 2, 2 * _STAGES)
    if remainder:
        below = depth - remainder
        raise ValueError(
            "`depth` must be 6n + 2 (three stages of n blocks with two convolutions each, the stem "
            f"and the logits). Received: depth={depth!r}. The nearest valid depths are {below} and "
            f"{below + 2 * _STAGES}."
        )
    return blocks


def _basic_block(
    kernels: Kernels, x: Any, *, channels: int, strides: int, inner: str, tap: str
) -> Any:
    shortcut = x
    if strides != 1 or x.shape[-1] != channels:
        shortcut = kernels.conv_bn(x, channels, 1, f"{inner}_shortcut", strides)
    x = kernels.conv_bn(x, channels, 3, f"{inner}_conv1", strides)
    x = keras.layers.ReLU(name=f"{inner}_relu1")(x)
    x = kernels.conv_bn(x, channels, 3, f"{inner}_conv2")
    x = keras.layers.Add(name=f"{inner}_add")([x, shortcut])
    return keras.layers.ReLU(name=tap)(x)
