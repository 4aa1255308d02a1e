"""The U-Net: a class for every pixel of a small image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kd_keras.arguments import check_integer
from kd_keras.models.layers import Kernels, check_input_shape, image_input


def unet(
    input_shape: Sequence[int] = (128, 128, 1),
    num_classes: int = 2,
    *,
    width: int = 16,
    depth: int = 3,
    weight_decay: float = 0.0,
    seed: int | None = None,
    name: str | None = None,
) -> keras.Model:
    """Build the U-Net of a given width and depth.

    `depth` levels of two 3x3 convolutions with `width`, `2 * width`, `4 * width`, ... channels,
    each followed by a 2x2 max-pooling; two convolutions with `2^depth * width` channels at the
    bottom; then back up, where the map from below is doubled by repeating its pixels, joined to the
    map of its level, and goes through two convolutions. Unlike the paper's, convolutions are padded
    and batch-normalised, so that the logits have the size of the image, and maps are doubled by
    repetition instead of by transposed convolutions: no checkerboards, and kernels in int8.

    The model takes raw pixels and returns logits. Taps, by layer name: `down1_out`, `down2_out`,
    ... for the levels from the top; `bottom`; ... `up3_out`, `up2_out` on the way back, and
    `features` for the last level, `width` wide and of the size of the image; `logits`.

    Args:
        input_shape: (height, width, channels) of the images, without the batch axis; height and
            width multiples of `2^depth`.
        num_classes: Number of classes of a pixel.
        width: Channels of the first level, 1 to 1024.
        depth: Levels above the bottom, 1 to 6.
        weight_decay: Decay of the kernels, in [0, 1), as a loss term whose gradient is
            `weight_decay * kernel`.
        seed: Makes the initial weights repeatable. None draws new ones.
        name: Name of the model; `unet<width>` by default.

    Returns:
        A functional `keras.Model` from `image`, (batch, height, width, channels) in 0..255, float
        or uint8, to logits of shape (batch, height, width, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
        TypeError: If `seed` is not an integer.

    Example:

    ```python
    import numpy as np
    import kd_keras

    student = kd_keras.models.unet((128, 128, 1), 2, width=4, seed=1)
    images = np.random.randint(0, 256, (4, 128, 128, 1), dtype="uint8")
    logits = student.predict(images)  # shape (4, 128, 128, 2)
    ```

    Reference:
        Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image
        Segmentation", MICCAI 2015, arXiv:1505.04597.
    """
    shape = check_input_shape(input_shape)
    num_classes = check_integer("num_classes", num_classes, 2, 2**16)
    width = check_integer("width", width, 1, 1024)
    depth = check_integer("depth", depth, 1, 6)
    if shape[0] % 2**depth or shape[1] % 2**depth:
        raise ValueError(
            f"`input_shape` must have a height and a width that can be halved {depth} times, "
            f"multiples of {2**depth}, as the U-Net has depth={depth}. Received: "
            f"input_shape={input_shape!r}. Resize or tile the images, or take a smaller depth."
        )
    kernels = Kernels.checked(weight_decay, seed)

    def two_convolutions(x: Any, channels: int, place: str, tap: str) -> Any:
        for number, relu in ((1, f"{place}_relu1"), (2, tap)):
            x = kernels.conv_bn(x, channels, 3, f"{place}_conv{number}")
            x = keras.layers.ReLU(name=relu)(x)
        return x

    image, x = image_input(shape)
    levels = []
    for level in range(1, depth + 1):
        x = two_convolutions(x, width * 2 ** (level - 1), f"down{level}", f"down{level}_out")
        levels.append(x)
        x = keras.layers.MaxPooling2D(name=f"down{level}_pool")(x)
    x = two_convolutions(x, width * 2**depth, "bottom", "bottom")
    for level in range(depth, 0, -1):
        x = keras.layers.UpSampling2D(name=f"up{level}_double")(x)
        x = keras.layers.Concatenate(name=f"up{level}_join")([levels[level - 1], x])
        tap = "features" if level == 1 else f"up{level}_out"
        x = two_convolutions(x, width * 2 ** (level - 1), f"up{level}", tap)
    logits = kernels.of(keras.layers.Conv2D, num_classes, 1, dtype="float32", name="logits")
    return keras.Model(image, logits(x), name=name or f"unet{width}")
