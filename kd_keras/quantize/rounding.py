"""The arithmetic of int8 in floating point: what TFLite will store, with gradients through it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

# A channel whose kernel is all but zero gets no finer steps than this range has: its bias, stored
# in steps of (input step * kernel step), would leave int32 otherwise.
LEAST_KERNEL = 1e-4
# For the same reason no activation is told apart more finely than this range allows.
LEAST_WIDTH = 1e-3


def round_per_channel(kernel: Any) -> Any:
    """Round a kernel to int8 steps, each channel of the last axis with a scale of its own.

    ```
    scale_c = max(|w_c|) / 127,   w_c -> scale_c * round(w_c / scale_c)
    ```

    Symmetric and without -128 (narrow range), as TFLite's convolutions take their kernels. The
    gradient passes through the rounding unchanged (straight-through estimator).

    Args:
        kernel: Float tensor `(..., channels)`.

    Returns:
        Tensor of the same shape whose values are 255 levels a channel at most.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.quantize.rounding import round_per_channel
    >>> kernel = tf.constant([[1.27, 12.7], [0.994, 9.94], [-0.5, 0.04]])
    >>> [[round(float(value), 3) for value in row] for row in round_per_channel(kernel)]
    [[1.27, 12.7], [0.99, 9.9], [-0.5, 0.0]]

    Reference: Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference: A
    whitepaper", 2018, arXiv:1806.08342, sections 2.2 and 3.1.
    """
    largest = tf.reduce_max(tf.abs(kernel), axis=list(range(len(kernel.shape) - 1)))
    largest = tf.maximum(largest, LEAST_KERNEL)
    return tf.quantization.fake_quant_with_min_max_vars_per_channel(
        kernel, -largest, largest, num_bits=8, narrow_range=True
    )


def round_per_tensor(kernel: Any) -> Any:
    """Round a kernel like `round_per_channel`, with one scale for all of it.

    Args:
        kernel: Float tensor of any shape.

    Returns:
        Tensor of the same shape whose values are 255 levels at most.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.quantize.rounding import round_per_tensor
    >>> [round(float(value), 3) for value in round_per_tensor(tf.constant([12.7, 9.94, 0.04]))]
    [12.7, 9.9, 0.0]
    """
    largest = tf.maximum(tf.reduce_max(tf.abs(kernel)), LEAST_KERNEL)
    return tf.quantization.fake_quant_with_min_max_vars(
        kernel, -largest, largest, num_bits=8, narrow_range=True
    )


def round_in_range(values: Any, low: Any, high: Any) -> Any:
    """Round values to the 256 evenly spaced levels of a range, and clip those outside it.

    ```
    scale = (high - low) / 255,   x -> scale * round(clip(x, low, high) / scale)
    ```

    The range is shifted by less than one step so that zero is a level. The gradient is that of the
    clipping: 1 inside the range, 0 outside.

    Args:
        values: Float tensor.
        low: Scalar, <= 0.
        high: Scalar, >= 0 and above `low`.

    Returns:
        Tensor of the same shape.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.quantize.rounding import round_in_range
    >>> round_in_range(tf.constant([-3.0, 0.4, 17.6, 300.0]), 0.0, 255.0).numpy().tolist()
    [0.0, 0.0, 18.0, 255.0]

    Reference: Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", CVPR 2018, arXiv:1712.05877, equation 12.
    """
    return tf.quantization.fake_quant_with_min_max_vars(values, low, high, num_bits=8)
