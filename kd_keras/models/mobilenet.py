"""The inverted-residual network for small images and phones."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras

from kd_keras.arguments import check_integer, check_number
from kd_keras.models.layers import Kernels, batch_norm, check_input_shape, image_input, in_stages

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
    width = check_number("width", width, above=0, high=8)
    kernels = Kernels.checked(weight_decay, seed)

    image, x = image_input(shape)
    x = kernels.conv_bn(x, _scaled(_STEM_CHANNELS, width), 3, "stem_conv")
    x = keras.layers.ReLU(max_value=6.0, name="stem")(x)
    stages = [(_scaled(channels, width), blocks) for channels, blocks in _STAGES]
    block = functools.partial(_inverted_residual, kernels, expansion)
    x = in_stages(x, stages, block, rematerialize)
    x = kernels.conv_bn(x, _scaled(_HEAD_CHANNELS, width), 1, "head_conv")
    x = keras.layers.ReLU(max_value=6.0, name="head")(x)
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    return keras.Model(image, kernels.logits(x, num_classes), name=name)


def _scaled(channels: int, width: float) -> int:
    """Return `channels * width` as a multiple of eight, the lane count of phone kernels."""
    return max(8, int(channels * width + 4) // 8 * 8)


def _inverted_residual(
    kernels: Kernels, expansion: int, x: Any, *, channels: int, strides: int, inner: str, tap: str
) -> Any:
    block_input = x
    is_residual = strides == 1 and x.shape[-1] == channels
    x = kernels.conv_bn(x, expansion * x.shape[-1], 1, f"{inner}_expand")
    x = keras.layers.ReLU(max_value=6.0, name=f"{inner}_expand_relu")(x)
    x = kernels.depthwise_bn(x, f"{inner}_depthwise", strides)
    x = keras.layers.ReLU(max_value=6.0, name=f"{inner}_depthwise_relu")(x)
    x = kernels.conv(x, channels, 1, f"{inner}_project")
    if not is_residual:
        return batch_norm(x, tap)
    x = batch_norm(x, f"{inner}_project_bn")
    return keras.layers.Add(name=tap)([block_input, x])
